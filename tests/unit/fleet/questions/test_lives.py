"""Lives by the name of whatever they were of, and out-of-memories: each once, with what is not known left unknown."""

from blackbox.fleet.questions.lives import ooms, where
from blackbox.fleet.schema import OWNER_KEYS
from blackbox.model.fleet import FleetOom
from tests.unit.fleet.scripted_reader import NOW, ScriptedReader, machine

LIFE = (
    {"tenant": "", "told_by": "id-a", "host_name": None, "gpu": None, "gpu_uuid": "GPU-0", "pid": 7, "start": None}
    | dict.fromkeys(OWNER_KEYS)
    | {"name": "python", "used_bytes": 9, "reserved_bytes": None, "allocated_bytes": None, "first": NOW, "last": NOW}
    | {"end_time": None, "ended": None, "signal": None, "exit_code": None}
)


def test_a_name_is_looked_for_as_all_that_it_may_be() -> None:
    answers = {
        "AS first": [LIFE],
        "AS found": [{"found": 3}],
        "slurm_job = {what:String}": [{}],
        "user IN ({what:String}, {user:String})": [{}],
        "FROM machine FINAL": [machine("a")],
    }
    reader = ScriptedReader(answers)
    found = where(reader, "7", NOW - 60, NOW, limit=1)
    assert found.matched == ("slurm_job", "user")
    assert [(one.host, one.pid, one.used_bytes, one.ended_at) for one in found.lives] == [("", 7, 9, None)]
    assert found.omitted == 2
    assert "UNION DISTINCT" in reader.asked[-1][0]


def test_a_container_is_known_by_its_beginning_from_some_length_on() -> None:
    short, long = ScriptedReader({}), ScriptedReader({})
    where(short, "c0ffee", NOW - 60, NOW)
    where(long, "c0ffeec0ffee", NOW - 60, NOW)
    assert not any("startsWith" in query for query, _ in short.asked)
    assert sum("startsWith" in query for query, _ in long.asked) == 1


def test_what_nobody_knows_is_nowhere() -> None:
    found = where(ScriptedReader({"FROM machine FINAL": [machine("a")]}), "nobody", NOW - 60, NOW)
    assert (found.matched, found.lives, found.omitted, found.cover.machines) == ((), (), 0, 1)


def test_out_of_memories_beyond_the_limit_are_counted() -> None:
    fields: dict[str, object] = dict.fromkeys(FleetOom.__struct_fields__)
    row = fields | {"tenant": "", "machine": "id-a", "host": "a", "timestamp": NOW, "event_id": 1}
    found = ooms(ScriptedReader({"ORDER BY ts DESC": [row], "AS found": [{"found": 5}]}), NOW - 60, NOW, limit=1)
    assert [(one.event_id, one.requested_bytes) for one in found.ooms] == [(1, None)]
    assert found.omitted == 4
