import os
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blackbox.sources.isolation.breadcrumbs import NO_DEVICE, Breadcrumbs, Call


@pytest.fixture
def pair() -> Iterator[tuple[Breadcrumbs, Breadcrumbs]]:
    """The same memory, seen by the two processes."""
    outside, fd = Breadcrumbs.create()
    inside = Breadcrumbs(fd)
    os.close(fd)
    yield inside, outside
    inside.close()
    outside.close()


def test_nothing_is_in_progress_at_first(pair: tuple[Breadcrumbs, Breadcrumbs]) -> None:
    assert pair[1].read() is None


def test_the_other_process_reads_the_call_and_when_it_began(pair: tuple[Breadcrumbs, Breadcrumbs]) -> None:
    inside, outside = pair
    before = time.monotonic()
    inside.mark("nvmlDeviceGetMemoryInfo_v2", 3)
    crumb = outside.read()
    assert crumb
    assert crumb.call == Call("nvmlDeviceGetMemoryInfo_v2", 3)
    assert before <= crumb.began_at <= time.monotonic()
    assert not crumb.slow
    assert not crumb.vital
    inside.clear()
    assert outside.read() is None


def test_a_vital_call_is_marked(pair: tuple[Breadcrumbs, Breadcrumbs]) -> None:
    inside, outside = pair
    inside.classify(slow={"cuptiOpen"}, vital={"nvmlInitWithFlags"})
    inside.mark("nvmlInitWithFlags", NO_DEVICE)
    crumb = outside.read()
    assert crumb
    assert crumb.vital
    assert crumb.slow
    assert str(crumb.call) == "nvmlInitWithFlags"


def test_a_slow_call_is_marked_and_can_be_left_out(pair: tuple[Breadcrumbs, Breadcrumbs]) -> None:
    inside, outside = pair
    inside.classify(slow={"cuptiOpen"}, vital={"nvmlInitWithFlags"})
    inside.mark("cuptiOpen", 3)
    crumb = outside.read()
    assert crumb
    assert crumb.slow
    assert not crumb.vital


def test_a_call_on_a_device_names_it() -> None:
    assert str(Call("nvmlDeviceGetMemoryInfo_v2", 3)) == "nvmlDeviceGetMemoryInfo_v2 on GPU 3"


@given(function=st.text(max_size=80), device=st.integers(-(2**31), 2**31 - 1))
def test_any_name_fits_or_is_cut(function: str, device: int) -> None:
    crumbs, fd = Breadcrumbs.create()
    os.close(fd)
    crumbs.mark(function, device)
    crumb = crumbs.read()
    crumbs.close()
    assert crumb
    assert crumb.call.device == device
    if function.isascii() and "\0" not in function:
        assert crumb.call.function == function[:51]
