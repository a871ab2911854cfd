"""A source that does as a file says: four devices, one driver call each, and every way to fail.

The file named by `SCRIPT` is read before each call. One line per order: `ORDER FUNCTION DEVICE`, such as `hang read 3`.
"""

import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

from blackbox import wire
from blackbox.model.event import Event
from blackbox.model.parts import Device, DeviceProcess, Memory
from blackbox.model.sample import Sample
from blackbox.model.status import SourceState

DEVICES = 4
FOREVER = 600.0
MEMORY = Memory(total_bytes=8, used_bytes=4, free_bytes=3, driver_reserved_bytes=1, source="scripted")


class Script:
    """The orders, as the test writes them and the source reads them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.write()

    def write(self, *orders: str) -> None:
        beside = self.path.with_suffix(".new")
        beside.write_text("\n".join(orders))
        beside.rename(self.path)

    def orders(self, function: str, device: int) -> set[str]:
        lines = (line.split() for line in self.path.read_text().splitlines())
        return {order for order, *call in lines if call == [function, str(device)]}


class Scripted:
    name = "scripted"
    vital_calls = frozenset({"open"})
    slow_calls = frozenset({"settle"})

    def __init__(self, breadcrumb: Callable[[str, int], None]) -> None:
        self.quarantine: dict[tuple[str, int], str] = {}
        self._breadcrumb = breadcrumb
        self._script = Script.__new__(Script)
        self._script.path = Path(os.environ["SCRIPT"])
        self._opened_with: set[str] | None = None

    def sample(self) -> Sample:
        if self._opened_with is None:
            self._call("open", -1)
            self._opened_with = self._script.orders("open", -1)
        devices = tuple(self._device(index) for index in range(DEVICES))
        orders = self._script.orders("sample", -1)
        events: tuple[Event, ...] = ()
        if "event" in orders:
            events = (Event(kind="xid", timestamp=1.0, message="fell off the bus", code=79),)
        if "huge" in orders:
            events = (Event(kind="xid", timestamp=1.0, message="x" * wire.MAX_PAYLOAD_BYTES),)
        processes = tuple(map(_process, range(3 if "grow" in orders else 2)))
        state: SourceState = "version_mismatch" if "mismatch" in self._opened_with else "ok"
        self._misbehave(orders)
        return Sample(
            source=self.name,
            taken_at=time.monotonic(),
            state=state,
            devices=devices,
            processes=processes,
            events=events,
        )

    def close(self) -> None:
        Path(os.environ["SCRIPT"]).with_name("closed").write_text(str(os.getpid()))

    def _device(self, index: int) -> Device:
        reason = self.quarantine.get(("read", index)) or self.quarantine.get(("settle", index))
        if reason is None:
            self._call("read", index)
            self._call("settle", index)
        return Device(
            uuid=f"GPU-{index}",
            index=index,
            name="scripted",
            state="stale" if reason else "ok",
            reason=reason,
            taken_at=time.monotonic(),
            memory=None if reason else MEMORY,
        )

    def _call(self, function: str, device: int) -> None:
        self._breadcrumb(function, device)
        self._misbehave(self._script.orders(function, device))

    def _misbehave(self, orders: set[str]) -> None:
        channel = int(sys.argv[2])
        if "hang" in orders:
            time.sleep(FOREVER)
        if "slow" in orders:
            time.sleep(0.3)
        if "crash" in orders:
            os.kill(os.getpid(), signal.SIGSEGV)
        if "exit" in orders:
            print("the last words", file=sys.stderr, flush=True)
            os._exit(3)
        if "raise" in orders:
            raise RuntimeError("a bug")
        if "garbage" in orders:
            os.write(channel, b"HTTP/1.1 200 OK\r\n\r\n")
        if "oversize" in orders:
            os.write(
                channel, wire.HEADER.pack(wire.MAGIC, wire.VERSION, wire.FrameKind.SAMPLE, wire.MAX_PAYLOAD_BYTES + 1)
            )
        if "undecodable" in orders:
            os.write(channel, wire.pack(wire.FrameKind.SAMPLE, b"\xc1"))
        if "foreign" in orders:
            os.write(channel, wire.pack(wire.FrameKind.REQUEST, b""))
        if "mute" in orders:
            with socket.socket(fileno=os.dup(channel)) as mouth:
                mouth.shutdown(socket.SHUT_WR)
            time.sleep(FOREVER)
        if "chatter" in orders:
            print("\n".join(f"line {number}" for number in range(100)), flush=True)


def _process(number: int) -> DeviceProcess:
    return DeviceProcess(
        pid=100 + number,
        gpu_uuid="GPU-0",
        used_bytes=1,
        kind="compute",
        name="train",
        user=None,
        uid=None,
        container=None,
        start_time=None,
    )


class Plain:
    """A source that knows nothing of breadcrumbs and quarantine."""

    name = "plain"

    def sample(self) -> Sample:
        return Sample(source=self.name, taken_at=time.monotonic())

    def close(self) -> None:
        pass


class Broken:
    """A source that cannot be made."""

    def __init__(self) -> None:
        raise RuntimeError("no such machine")
