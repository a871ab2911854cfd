"""Memory held in vain: whole hours, names for machines, and GPUs that were given and left empty."""

import pytest

from blackbox.fleet.questions.waste import waste
from tests.unit.fleet.scripted_reader import NOW, ScriptedReader, machine

WASTER = {"holder": "id-a", "processes": 2, "machines": 1, "held_hours": 8.0, "vain_hours": 6.0}
EMPTY = {
    "tenant": "",
    "host": "a",
    "gpu_uuid": "GPU-0",
    "scheduler": "slurm",
    "job": "7",
    "owner": None,
    "given_at": NOW,
    "returned_at": None,
    "seen": 60,
    "empty": 50,
}
POD = EMPTY | {"scheduler": "kubernetes", "job": "ml/train-0/main", "given_until": NOW - 60, "empty": 55, "seen": 58}
ROWS = {
    "uniqExact(tenant, host, gpu_uuid, job) AS given": [{"given": 2}],
    "AS given_until": [POD],
    "AS holder": [WASTER],
    "AS silent": [{"silent": 4}],
    "GLOBAL INNER JOIN": [EMPTY],
    "SELECT count() AS given": [{"given": 3}],
    "FROM machine FINAL": [machine("a")],
}


def test_hours_are_whole_and_machines_have_names() -> None:
    found = waste(ScriptedReader(ROWS), NOW - 5000, NOW - 10, "host")
    assert found.since % 3600 == found.until % 3600 == 0
    assert found.since <= NOW - 5000
    assert found.until >= NOW - 10
    assert [(one.name, one.held_byte_hours, one.never_used_byte_hours) for one in found.wasters] == [("a", 8.0, 6.0)]
    assert (found.silent_processes, found.allocations) == (4, 5)
    assert [(one.job, one.user, one.until, one.empty_minutes) for one in found.empty] == [
        ("ml/train-0/main", None, NOW - 60, 55),
        ("7", None, None, 50),
    ]


@pytest.mark.parametrize(
    ("told", "until", "lasts"),
    [
        (NOW - 60, NOW, True),
        (NOW, NOW, False),
        (None, NOW - 3600, True),
        (None, NOW, False),
    ],
)
def test_a_pod_that_had_a_gpu_when_its_kubelet_told_last_has_it_still(
    told: float | None, until: float, lasts: bool
) -> None:
    """Where no minute is kept any more, the hours have to tell: up to the end of the range."""
    last = [] if told is None else [{"tenant": "", "host": "a", "gpu_uuid": "GPU-0", "told": told}]
    of_another = [{"tenant": "", "host": "b", "gpu_uuid": "GPU-0", "told": NOW + 60}]
    reader = ScriptedReader(ROWS | {"AS told": last + of_another})
    (pod, _) = waste(reader, NOW - 7200, until, "user").empty
    assert (pod.until is None) == lasts
    assert [asked["gpus"] for query, asked in reader.asked if "AS told" in query] == ["['GPU-0']"]


def test_the_largest_of_both_kinds_are_told() -> None:
    assert [one.job for one in waste(ScriptedReader(ROWS), NOW - 5000, NOW, "user", limit=1).empty] == [
        "ml/train-0/main"
    ]


def test_other_names_stay_as_they_are() -> None:
    assert waste(ScriptedReader(ROWS), NOW - 5000, NOW, "user").wasters[0].name == "id-a"


def test_without_a_scheduler_nothing_is_looked_for() -> None:
    none = [{"given": 0}]
    rows = {"SELECT count() AS given": none, "uniqExact(tenant, host, gpu_uuid, job) AS given": none}
    reader = ScriptedReader(ROWS | rows)
    assert waste(reader, NOW - 5000, NOW, "user").empty == ()
    assert not any("JOIN" in query or "given_until" in query for query, _ in reader.asked)
