"""Device memory profiles of JAX: what they hold, as the object of `GET /vram`."""

from pathlib import Path

from msgspec import structs

from blackbox.merge import merge
from blackbox.model.codec import to_json
from blackbox.sources.jax_profile.contents import NOT_TOLD
from blackbox.sources.jax_profile.moment import moment_of
from blackbox.sources.jax_profile.reading import read as read_contents


def read(path: Path) -> bytes:
    """The JSON of the profile in the file. Raises `FailureError`."""
    contents = read_contents(path)
    snapshot = merge(moment_of(path, contents))
    unknown = snapshot.unknown | {"host": NOT_TOLD}
    if contents.timestamp is None:
        unknown["timestamp"] = f"{NOT_TOLD}; when the file was written"
    return to_json(structs.replace(snapshot, unknown=unknown))
