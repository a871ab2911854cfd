"""The purpose of memory."""

from typing import get_args

import pytest

from blackbox.model.parts import BlockType
from blackbox.model.purpose import PURPOSES, purpose_of
from blackbox.model.series import RECORDED


@pytest.mark.parametrize("type_", get_args(BlockType))
@pytest.mark.parametrize("subtype", [None, "gradient", "kv_page", "graph_pool", "named by the user"])
@pytest.mark.parametrize("state", [(False, False), (True, False), (True, True)])
def test_every_block_has_a_purpose_of_the_list(type_: str, subtype: str | None, state: tuple[bool, bool]) -> None:
    assert purpose_of(type_, subtype, allocated=state[0], utilized=state[1]) in PURPOSES


def test_each_purpose_is_recorded() -> None:
    recorded = {metric.key for metric in RECORDED["process"]}
    assert {f"{purpose}_bytes" for purpose in PURPOSES} <= recorded
