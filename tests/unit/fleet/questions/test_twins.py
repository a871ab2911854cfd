"""Which machines of the tables are one machine."""

from itertools import permutations
from typing import Any

import pytest

from blackbox.fleet.questions.cover import EVERYWHERE, known_machines
from blackbox.fleet.questions.twins import Twins, twins
from tests.unit.fleet.scripted_reader import NOW, ScriptedReader, machine


def heads_of(*rows: tuple[str, str, str, str]) -> tuple[Twins, int]:
    """Those of the machines of these (tenant, name, identity, GPU), and how many questions it took."""
    machines: list[dict[str, Any]] = [
        machine(host) | {"tenant": tenant, "machine": identity} for tenant, host, identity, _ in rows
    ]
    lives = [{"tenant": tenant, "machine": identity, "gpu_uuid": gpu} for tenant, _, identity, gpu in rows]
    reader = ScriptedReader({"FROM machine FINAL": machines, "FROM life": lives})
    known = known_machines(reader, EVERYWHERE, NOW - 60, NOW)
    asked = len(reader.asked)
    return twins(reader, known), len(reader.asked) - asked


def found(*rows: tuple[str, str, str]) -> tuple[dict[str, str], int]:
    """The same of one tenant, by identity."""
    told, asked = heads_of(*(("", *row) for row in rows))
    return {identity: head for (_, identity), head in told.heads.items()}, asked


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


def test_what_is_joined_for_one_tenant_says_nothing_of_another() -> None:
    """Two tenants with machines of one name, and a recording that was copied from one to the other."""
    told, _ = heads_of(
        ("red", "a", "1", "GPU-x"), ("red", "a", "2", "GPU-x"),
        ("blue", "a", "2", "GPU-y"), ("blue", "a", "3", "GPU-y"), ("blue", "a", "1", "GPU-z"),
    )  # fmt: skip
    assert told.heads == {("red", "1"): "1", ("red", "2"): "1", ("blue", "2"): "2", ("blue", "3"): "2"}
    assert told.parameters == {"twins": "['1 red', '2 red', '2 blue', '3 blue']", "heads": "['1', '1', '2', '2']"}
