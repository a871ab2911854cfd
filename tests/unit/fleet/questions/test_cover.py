"""Who is fresh, late or unknown: every machine is one of them, and no answer is whole without all."""

from hypothesis import given
from hypothesis import strategies as st

from blackbox.fleet.questions.cover import GRACE_SECONDS, FleetScope, cover, due, known_machines, machines
from blackbox.fleet.reader import FleetShards
from blackbox.model.fleet import HOSTS_NAMED_MAX
from tests.unit.fleet.scripted_reader import NOW, ScriptedReader, machine

MACHINES = "FROM machine FINAL"


def test_of_now_a_server_may_be_some_minutes_behind() -> None:
    assert due(NOW, NOW) == NOW - GRACE_SECONDS
    assert due(NOW - 86_400, NOW) == NOW - 86_400


def test_states_are_by_how_far_a_server_has_shipped() -> None:
    rows = [machine("a"), machine("b", NOW - GRACE_SECONDS - 1), machine("c", None)]
    found = machines(ScriptedReader({MACHINES: rows}))
    assert [(one.host, one.state) for one in found.machines] == [("c", "unknown"), ("b", "late"), ("a", "fresh")]
    assert (found.cover.fresh, found.cover.late, found.cover.unknown) == (1, 1, 1)
    assert found.asked == NOW
    past = known_machines(ScriptedReader({MACHINES: rows}), FleetScope(), NOW - 3660, NOW - 3600)
    assert [one.state for one in past] == ["fresh", "fresh", "unknown"]


def test_minutes_that_came_ahead_of_a_backlog_are_good_for_their_own_time_alone() -> None:
    """A range that needs older ones, too, is not whole without them."""
    row = machine("a", NOW - 86_400) | {"ahead_from": NOW - 3600, "ahead_to": NOW - 60}

    def state(since: float, until: float) -> str:
        (found,) = known_machines(ScriptedReader({MACHINES: [row]}), FleetScope(), since, until)
        return found.state

    assert state(NOW - 720, NOW) == "fresh"
    assert state(NOW - 3600, NOW - 1800) == "fresh"
    assert state(NOW - 3601, NOW) == "late", "what was before is not there"
    assert state(NOW - 7260, NOW - 7200) == "late", "in the backlog"
    assert state(NOW - 90_000, NOW - 86_400) == "fresh", "before the backlog"
    (listed,) = machines(ScriptedReader({MACHINES: [row]})).machines
    assert (listed.state, listed.ahead_until) == ("fresh", NOW - 60)


states = st.lists(st.sampled_from(["present", "absent", "torn", "late", "never"]), max_size=60)


@given(states, st.booleans())
def test_every_machine_is_one_of_them(states: list[str], shard_is_missing: bool) -> None:
    shipped = {"late": NOW - 7200, "never": None}
    rows = [machine(f"{place}-{state}", shipped.get(state, NOW)) for place, state in enumerate(states)]
    known = known_machines(ScriptedReader({MACHINES: rows}), FleetScope(), NOW - 60, NOW)
    keys = {state: {("", f"id-{place}-{one}") for place, one in enumerate(states) if one == state} for state in states}
    missing = FleetShards(2, ("2 (db2:9000)",)) if shard_is_missing else FleetShards(2)
    present = keys.get("present", set()) | keys.get("torn", set())
    found = cover(known, missing, present, keys.get("torn", set()))
    assert found.fresh + found.late + found.unknown == found.machines == len(states)
    assert found.fresh == states.count("present")
    assert found.late == states.count("torn") + states.count("late")
    assert found.unknown == states.count("absent") + states.count("never")
    assert len(found.late_hosts) == min(found.late, HOSTS_NAMED_MAX)
    assert found.whole == (set(states) == {"present"} and not shard_is_missing)


def test_a_scope_is_a_parameter_and_no_part_of_the_question() -> None:
    reader = ScriptedReader({})
    known_machines(reader, FleetScope("'; DROP", "host'"), NOW - 60, NOW)
    ((query, parameters),) = reader.asked
    assert "DROP" not in query
    assert parameters == {"tenant": "'; DROP", "machine": "host'"}
