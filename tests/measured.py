"""Coverage where tests run side by side: `-p tests.measured` measures each worker from before it imports Blackbox."""

import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager, nullcontext
from functools import wraps
from itertools import count
from typing import Any

import coverage
import pytest

WORKER = "PYTEST_XDIST_WORKER"
"""The process that hands out the tests runs nothing of ours."""
ONE_IN = 5
"""Examples of a property that is measured: the others run through hardly anything new, and take thrice as long while
they are. The first tenth are small ones."""
measured = coverage.Coverage(data_suffix=True) if WORKER in os.environ else None
if measured is not None:
    measured.start()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Measures some examples of a property, nothing of a slow test, which runs through nothing that the others do not,
    and any other test whole."""
    prop = getattr(getattr(item, "obj", None), "hypothesis", None)
    if measured is None:
        return (yield)
    if item.get_closest_marker("slow") is not None:
        context = _pause(measured)
    else:
        context = nullcontext() if prop is None else _some_examples(prop, measured)
    with context:
        return (yield)


@contextmanager
def _pause(measured: coverage.Coverage) -> Iterator[None]:
    measured.stop()
    try:
        yield
    finally:
        measured.start()


@contextmanager
def _some_examples(prop: Any, measured: coverage.Coverage) -> Iterator[None]:
    """`inner_test` is what hypothesis calls for each example, and lets others wrap."""
    inner, calls = prop.inner_test, count()

    @wraps(inner)
    def sampled(*arguments: Any, **named: Any) -> Any:
        if next(calls) % ONE_IN:
            return inner(*arguments, **named)
        measured.start()
        try:
            return inner(*arguments, **named)
        finally:
            measured.stop()

    prop.inner_test = sampled
    try:
        with _pause(measured):
            yield
    finally:
        prop.inner_test = inner


def pytest_unconfigure() -> None:
    if measured is not None:
        measured.stop()
        measured.save()
