"""What is deleted, and what is not."""

from pathlib import Path

from blackbox.recorder.storage.directory import ChunkFile, chunk_file, chunk_files
from blackbox.recorder.storage.tiers import FULL, HOUR, MINUTE, Tier, enforce, recorded_bytes

NOW = 1_800_000_000.0
ROOM = 1_000_000


def chunks(directory: Path, tier: Tier, count: int, size: int = 1000) -> list[ChunkFile]:
    """Chunks up to `NOW`, oldest first."""
    made = [chunk_file(directory, tier.name, NOW - age * tier.chunk_seconds, 0) for age in reversed(range(count))]
    for chunk in made:
        chunk.path.write_bytes(bytes(size))
    return made


def test_each_tier_has_its_age(tmp_path: Path) -> None:
    chunks(tmp_path, FULL, 20)
    chunks(tmp_path, MINUTE, 40)
    chunks(tmp_path, HOUR, 40)
    enforce(tmp_path, NOW, ROOM, ())
    assert len(chunk_files(tmp_path, "full")) == 8, "an hour, the chunk that reaches into it, and the one being written"
    assert len(chunk_files(tmp_path, "minute")) == 32
    assert len(chunk_files(tmp_path, "hour")) == 40


def test_all_of_the_last_hour_is_at_full_rate(tmp_path: Path) -> None:
    chunks(tmp_path, FULL, 20)
    enforce(tmp_path, NOW + FULL.chunk_seconds - 1, ROOM, ())
    assert chunk_files(tmp_path, "full")[0].start <= NOW + FULL.chunk_seconds - 1 - 3600


def test_beyond_the_limit_the_oldest_of_the_largest_tier_goes_first(tmp_path: Path) -> None:
    full = chunks(tmp_path, FULL, 3, size=100)
    minute = chunks(tmp_path, MINUTE, 5, size=1000)
    assert enforce(tmp_path, NOW, 3500, ()) == 3300
    assert chunk_files(tmp_path, "minute") == minute[2:]
    assert chunk_files(tmp_path, "full") == full
    assert recorded_bytes(tmp_path) == 3300


def test_what_is_being_written_is_never_deleted(tmp_path: Path) -> None:
    full = chunks(tmp_path, FULL, 20)
    enforce(tmp_path, NOW, 0, [full[0].path])
    assert chunk_files(tmp_path, "full") == full[:1]


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    for name in ("full-notes.db", "dump.bbox", "lock"):
        (tmp_path / name).write_bytes(bytes(100))
    enforce(tmp_path, NOW, 0, ())
    assert len(list(tmp_path.iterdir())) == 3
