"""Which machines of the tables are one machine."""

from itertools import permutations
from typing import Any

import pytest

from blackbox.fleet.questions.cover import EVERYWHERE, known_machines
from blackbox.fleet.questions.twins import twins
from tests.unit.fleet.scripted_reader import NOW, ScriptedReader, machine


def found(*rows: tuple[str, str, str]) -> tuple[dict[str, str], int]:
    """Heads of the machines of these (name, identity, GPU), and how many questions it took."""
    machines: list[dict[str, Any]] = [machine(host) | {"machine": identity} for host, identity, _ in rows]
    lives = [{"tenant": "", "machine": identity, "gpu_uuid": gpu} for _, identity, gpu in rows]
    reader = ScriptedReader({"FROM machine FINAL": machines, "FROM life": lives})
    known = known_machines(reader, EVERYWHERE, NOW - 60, NOW)
    asked = len(reader.asked)
    return dict(twins(reader, known).heads), len(reader.asked) - asked


def test_two_recordings_of_a_gpu_are_one() -> None:
    assert found(("a", "1", "GPU-x"), ("a", "2", "GPU-x")) == ({"1": "1", "2": "1"}, 1)


def test_machines_of_one_name_with_other_gpus_are_two() -> None:
    assert found(("a", "1", "GPU-x"), ("a", "2", "GPU-y")) == ({}, 1)


def test_simulated_machines_have_one_gpu_and_other_names() -> None:
    assert found(("a", "1", "GPU-x"), ("b", "2", "GPU-x")) == ({}, 0)


def test_the_first_stands_for_all_of_them() -> None:
    heads, _ = found(("a", "1", "GPU-x"), ("a", "2", "GPU-x"), ("a", "3", "GPU-x"), ("a", "4", "GPU-y"))
    assert heads == {"1": "1", "2": "1", "3": "1"}


@pytest.mark.parametrize("identities", list(permutations("123")))
@pytest.mark.parametrize("gpus", list(permutations(("GPU-x", "GPU-y"))))
def test_recordings_that_a_third_joins_are_one(identities: tuple[str, ...], gpus: tuple[str, ...]) -> None:
    """Whichever of them is the first, and whichever of their GPUs: else what two tell of one GPU counts twice."""
    (one, other, both), (first, second) = identities, gpus
    told = sorted((("a", one, first), ("a", other, second), ("a", both, first), ("a", both, second)))
    assert found(*told)[0] == {"1": "1", "2": "1", "3": "1"}
