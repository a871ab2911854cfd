"""Answers against the contract: every key of its tables, of its type, on machines rich, poor and empty."""

import json
from typing import Any

import pytest
from hypothesis import given, settings

from blackbox.merge import merge
from blackbox.model.codec import to_json
from blackbox.model.moment import Moment
from blackbox.model.view import with_blocks
from tests.contract import reference_text
from tests.contract.assertions import assert_honours_the_contract, objects, validator
from tests.moments import device, moment, process, sample
from tests.strategies import moments

MACHINES = {
    "rich": moment(),
    "without agents": moment(sample([device(0)], [process()])),
    "GPU lost": moment(sample([device(0, state="lost", memory=None)], [process()])),
    "idle": moment(sample([device(0)])),
    "no GPU": moment(sample([])),
}


@pytest.mark.parametrize("name", MACHINES)
def test_every_key_of_the_contract_is_present_and_of_its_type(name: str) -> None:
    assert_honours_the_contract(json.loads(to_json(merge(MACHINES[name]))))


@pytest.mark.parametrize("detail", ["summary", "none"])
def test_leaving_blocks_out_leaves_the_contract_whole(detail: Any) -> None:
    assert_honours_the_contract(json.loads(to_json(with_blocks(merge(moment()), detail, 100))))


@settings(max_examples=40)
@given(moments())
def test_the_answer_of_any_machine_honours_the_contract(arbitrary: Moment) -> None:
    assert_honours_the_contract(json.loads(to_json(merge(arbitrary))))


def test_the_rich_machine_fills_every_object_of_the_contract() -> None:
    answer = json.loads(to_json(merge(moment())))
    assert all(objects(answer, struct) for struct in reference_text.OBJECTS.values())
    assert {block["type"] for block in answer["blocks"]} == {"kv_cache", "activation", "weight", "other"}
    assert {metrics["available"] for metrics in answer["nsight_metrics"].values()} == {True, False}


def test_a_value_nobody_measured_is_zero_and_named_beside_it() -> None:
    answer = json.loads(to_json(merge(MACHINES["no GPU"])))
    assert answer["total_bytes"] == 0
    assert {"total_bytes", "used_bytes", "free_bytes", "used_percent", "processes"} <= answer["unknown"].keys()


@pytest.mark.parametrize(
    "broken",
    [
        {"used_percent": 101.0},
        {"used_bytes": -1},
        {"processes": None},
        {"total_bytes": "1"},
        {"fragmentation_ratio": 2},
    ],
    ids=lambda broken: next(iter(broken)),
)
def test_the_schema_refuses_what_the_contract_forbids(broken: dict[str, Any]) -> None:
    answer = json.loads(to_json(merge(moment()))) | broken
    assert not validator().is_valid(answer)


def test_the_schema_refuses_an_answer_without_a_key() -> None:
    answer = json.loads(to_json(merge(moment())))
    del answer["threads"]
    assert not validator().is_valid(answer)
