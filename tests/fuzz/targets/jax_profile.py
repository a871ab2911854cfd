"""A device memory profile of JAX. The child that reads one stands whatever it raises, and is to raise this alone."""

from collections.abc import Sequence

from blackbox.sources.jax_profile.contents import contents
from blackbox.sources.jax_profile.pprof import PprofError, parse
from tests.jax_profiles import buffer, executable, profile

ALLOWED = (PprofError,)


def seeds() -> Sequence[bytes]:
    frames = [(f"f{number}", "/app/train.py", number) for number in range(5)]
    return [
        profile(buffer(1 << 20, "gpu:0", *frames), executable(1 << 10, frames[0])),
        profile(*(buffer(size, f"gpu:{size % 3}", frames[size % 5]) for size in range(20))),
    ]


def run(data: bytes) -> None:
    contents(parse(data))
