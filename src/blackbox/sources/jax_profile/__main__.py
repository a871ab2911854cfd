"""The child that reads a profile: python -m blackbox.sources.jax_profile FILE MEMORY_BYTES CPU_SECONDS

Writes the packed `ProfileContents` to stdout; exit code 1 and one line on stderr where that cannot be done.
"""

import gzip
import sys
import zlib
from pathlib import Path

import msgspec

from blackbox.sources.isolation.limits import limit_this_process
from blackbox.sources.isolation.reader import fail_in_one_line
from blackbox.sources.jax_profile.contents import contents
from blackbox.sources.jax_profile.pprof import PprofError, parse

PROFILE_BYTES_MAX = 256 << 20
"""Of one that is unpacked. Genuine ones take kilobytes."""
GZIP = b"\x1f\x8b"


def main() -> int:
    path, memory_bytes, cpu_seconds = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    limit_this_process(memory_bytes, cpu_seconds)
    try:
        packed = msgspec.msgpack.encode(contents(parse(_unpacked(path))))
    except MemoryError:
        return fail_in_one_line(f"it would take more than {memory_bytes >> 20} MiB to read")
    except PprofError as error:
        return fail_in_one_line(f"not a device memory profile of JAX: {error}")
    except Exception as error:  # a broken file may provoke others
        return fail_in_one_line(f"not a device memory profile of JAX: {type(error).__name__}")
    sys.stdout.buffer.write(packed)
    return 0


def _unpacked(path: Path) -> bytes:
    """pprof reads either, so we do. Raises `PprofError`."""
    with path.open("rb") as file:
        is_packed = file.read(len(GZIP)) == GZIP
    try:
        with gzip.open(path) if is_packed else path.open("rb") as file:
            data = file.read(PROFILE_BYTES_MAX + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise PprofError(f"it is cut or broken: {error}") from None
    if len(data) > PROFILE_BYTES_MAX:
        raise PprofError(f"it unpacks to more than {PROFILE_BYTES_MAX >> 20} MiB")
    return data


if __name__ == "__main__":
    sys.exit(main())
