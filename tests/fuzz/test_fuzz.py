"""Every target stands some mutants, the same ones each time; and the fuzzer finds what it is there to find."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz import child, planted
from tests.fuzz.engine import fuzz, replay
from tests.fuzz.target import load, names
from tests.waiting import PATIENCE_SECONDS

INPUTS = 825
"""Of each target: 13,000 in all."""
SECONDS = 60.0
SEED = 20261129


@pytest.mark.parametrize("name", names())
def test_damaged_input_is_taken_or_refused(name: str, tmp_path: Path) -> None:
    outcome = fuzz(name, INPUTS, SECONDS, SEED, tmp_path)
    assert outcome.findings == (), "\n".join(found.trace for found in outcome.findings)
    assert outcome.inputs > 0


@pytest.mark.parametrize(
    ("hole", "said"),
    [("", None), ("error", "IndexError"), ("memory", "MiB for"), ("endless", "too long"), ("crash", "SIGABRT")],
)
def test_a_planted_hole_is_found(hole: str, said: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLANTED_HOLE", hole)
    outcome = fuzz(planted.__name__, 5000, PATIENCE_SECONDS, SEED, tmp_path)
    if said is None:
        assert outcome.findings == ()
        return
    finding = next(found for found in outcome.findings if said in found.error)
    assert Path(finding.file).read_bytes()


def test_what_making_an_input_takes_is_not_its_doing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tree with a part 50 times, taken apart again for the next fault, took 80 MiB before its input was read."""

    def mutants(*_: object) -> Iterator[bytes]:
        bytearray(b"x") * (2 * child.INPUT_BYTES_MAX)
        yield planted.seeds()[0]

    monkeypatch.setattr(child, "mutated", mutants)
    outcome = child.Run(load(planted.__name__), SEED, tmp_path).go(1, SECONDS)
    assert (outcome.inputs, outcome.findings) == (2, ())


def test_the_same_seed_makes_the_same_inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLANTED_HOLE", "error")
    first, second = (fuzz(planted.__name__, 2000, SECONDS, SEED, tmp_path / place) for place in "ab")
    assert [found.number for found in first.findings] == [found.number for found in second.findings]


def test_a_finding_can_be_replayed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "finding"
    path.write_bytes(b'{"count":9,"items":[1]}')
    monkeypatch.setattr(planted, "HOLE", "error")
    with pytest.raises(IndexError):
        replay(planted.__name__, path)


def test_what_is_replayed_may_hold_no_more_than_in_a_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "finding"
    path.write_bytes(b"asks for much")
    monkeypatch.setattr(planted, "run", lambda _: bytes(4 * child.MEMORY_BYTES_MAX))
    with pytest.raises(MemoryError):
        replay(planted.__name__, path)
    assert bytes(4 * child.MEMORY_BYTES_MAX), "and afterwards it may again"


def test_every_decoder_has_a_target() -> None:
    assert set(names()) >= {
        "agent_frames",
        "chunk",
        "chunk_rows",
        "dump",
        "engine_pages",
        "event_blocks",
        "event_log",
        "http_request",
        "jax_profile",
        "memory_snapshot",
        "ncu_report",
        "ncu_table",
        "query",
        "settings_file",
        "web_config",
    }
