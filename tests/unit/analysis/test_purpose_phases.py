"""The parts of a trace, found by searching bytes, are those that a look at each entry finds."""

from hypothesis import given
from hypothesis import strategies as st

from blackbox.analysis.purpose_frames import BACKWARD, FORWARD, MAIN
from blackbox.analysis.purpose_phases import CODES, PARTS, Phases

parts = st.lists(st.sampled_from(PARTS), max_size=40)


def phases(of: list[str | None]) -> Phases:
    found = Phases(bytearray(len(of)))
    for place, part in enumerate(of):
        found[place] = part
    return found


@given(parts)
def test_runs_are_told_in_turn(of: list[str | None]) -> None:
    found: list[tuple[str, int, int]] = []
    for place, part in enumerate(of):
        if part is not None and (not found or found[-1][0] != part):
            if found:
                found[-1] = (*found[-1][:2], place)
            found.append((part, place, len(of)))
    assert list(phases(of).runs()) == found


@given(parts, st.sampled_from(PARTS[1:]))
def test_entries_are_found_by_part(of: list[str | None], part: str) -> None:
    told = phases(of)
    assert [told[place] for place in range(len(of))] == of
    assert told.has_any((part,)) == (part in of)
    assert told.first((part, MAIN)) == next((place for place, one in enumerate(of) if one in (part, MAIN)), None)
    assert told.of(part, range(0, len(of), 2)) == [place for place in range(0, len(of), 2) if of[place] == part]
    assert told.others(part) == [place for place, one in enumerate(of) if one not in (None, part)]


def test_nothing_known_is_no_part() -> None:
    assert list(phases([None, None]).runs()) == []
    assert phases([None]).first((FORWARD, BACKWARD)) is None
    assert PARTS[CODES[None]] is None
