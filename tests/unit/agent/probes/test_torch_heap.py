"""What exists of a class is found, and the program does not notice that it was looked for."""

import gc
import sys
import threading
import weakref

from blackbox.agent.probes.torch.heap import instances


class Base: ...


class Child(Base): ...


class Grandchild(Child): ...


class Impostor:
    @property
    def __class__(self) -> type:  # pyright: ignore[reportIncompatibleMethodOverride]
        raise AssertionError("code of the program")


class Strange(type):
    __hash__ = None  # pyright: ignore[reportAssignmentType]


def test_it_finds_its_own_and_those_of_subclasses() -> None:
    there = [Base(), Child(), Grandchild(), Impostor(), Strange("Odd", (), {})()]
    assert {id(one) for one in instances(Base)} == {id(one) for one in there[:3]}
    assert instances(type("Nothing", (), {})) == []


def test_a_tuple_that_is_being_made_meanwhile_is_made() -> None:
    """`tuple` gives up where anybody else holds what it has so far."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    thread = threading.Thread(target=lambda: [instances(Base) for _ in range(20)])
    thread.start()
    lengths: set[int] = set()
    try:
        while thread.is_alive() or not lengths:
            lengths.add(len(tuple(one for one in range(400))))
    finally:
        sys.setswitchinterval(before)
        thread.join()
    assert lengths == {400}


def test_nothing_is_held_afterwards() -> None:
    class Tracked: ...

    newest = [Tracked() for _ in range(100)]
    gone = [weakref.ref(one) for one in newest]
    collecting = gc.isenabled()
    gc.disable()
    try:
        instances(Base)
        newest.clear()
        assert [reference() for reference in gone] == [None] * 100
    finally:
        if collecting:
            gc.enable()
