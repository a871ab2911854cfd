"""What helpers of tests do."""

import os
import time
from pathlib import Path

import msgspec

from blackbox.errors import FailureError


def about_itself(order: bytes) -> bytes:
    """Its niceness, and what it was given."""
    return msgspec.json.encode({"nice": os.nice(0), "given": order.decode()})


def refuse(order: bytes) -> bytes:
    """One line says why."""
    raise FailureError(order.decode())


def fault(order: bytes) -> bytes:
    """Nobody had thought of it."""
    raise RuntimeError(order.decode())


def be_killed(_order: bytes) -> bytes:
    """As by a machine without memory."""
    os.kill(os.getpid(), 9)
    return b""


def never(_order: bytes) -> bytes:
    """Works on and on."""
    while True:
        time.sleep(60)


def leave_a_part(order: bytes) -> bytes:
    """Dies while it writes a dump."""
    told = msgspec.json.decode(order)
    Path(told["directory"]).mkdir(exist_ok=True)
    Path(told["directory"], f".oom-20261122T120307Z-1.bbdump.{os.getpid()}.part").write_bytes(b"half")
    return be_killed(order)
