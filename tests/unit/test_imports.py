"""Imports without what is not needed, in a process of their own: here all of it has been imported already."""

import json
import subprocess
import sys
from types import ModuleType

import pytest

from blackbox.imports import instead_of

SERVER = """
import json, sys
from blackbox.imports import import_event_loop, import_msgspec
import_msgspec()
import_event_loop()
import blackbox.daemon
print(json.dumps(list(sys.modules)))
"""
CHILD = """
import json, sys
from blackbox.imports import import_for_child
import_for_child()
from blackbox.sources.isolation import child
import blackbox.sources.nvml.source
print(json.dumps(list(sys.modules)))
"""
SCHEMAS = """
from blackbox.imports import import_msgspec
import_msgspec()
import decimal, uuid
import msgspec
from blackbox.model.snapshot import Snapshot
print(len(msgspec.json.schema(Snapshot)["$defs"]) > 5, uuid.UUID(int=1), decimal.Decimal(1))
"""
COROUTINES = """
from blackbox.imports import import_event_loop
import_event_loop()
import asyncio, functools, inspect, sys, uvloop

async def work(self=None):
    return "worked"

class Owner:
    work = work

def told(function):
    assert asyncio.iscoroutinefunction(function) == inspect.iscoroutinefunction(function), function
    return asyncio.iscoroutinefunction(function)

print([told(one) for one in (work, Owner().work, functools.partial(work), functools.partial(Owner().work))])
print([told(one) for one in (lambda: None, Owner, functools.partial(print), sys)])
print(uvloop.run(asyncio.wait_for(work(), 1)))
"""
LATER = """
from blackbox.imports import import_event_loop
import_event_loop()
import asyncio, http.client, ssl, uvloop

async def main():
    served = await asyncio.start_server(lambda _, writer: (writer.write(b"heard"), writer.close()), "127.0.0.1", 0)
    reader, _ = await asyncio.open_connection(*served.sockets[0].getsockname())
    print((await reader.read()).decode(), http.client.HTTPSConnection.__name__, ssl.SSLContext.__module__)

uvloop.run(main())
"""


def run(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout


def test_the_servers_modules_bring_in_nothing_that_is_large_and_not_needed() -> None:
    found = set(json.loads(run(SERVER)))
    assert {"uvloop", "blackbox.server.server"} <= found
    assert not found & {"ssl", "_ssl", "_hashlib", "http.client", "prometheus_client", "typing_extensions"}
    assert not found & {"inspect", "tempfile", "lzma", "_strptime", "uuid"}


def test_the_drivers_process_has_neither_bindings_nor_what_makes_schemas() -> None:
    found = set(json.loads(run(CHILD)))
    assert "msgspec" in found
    assert not found & {"pynvml", "uuid", "platform", "ipaddress", "msgspec.inspect", "inspect", "subprocess"}
    assert not found & {"asyncio", "ssl", "tempfile", "decimal", "logging"}


def test_schemas_and_what_was_left_out_are_there_for_who_wants_them_later() -> None:
    assert run(SCHEMAS).split() == ["True", "00000000-0000-0000-0000-000000000001", "1"]


def test_what_needs_tls_later_finds_the_real_one() -> None:
    assert run(LATER).split() == ["heard", "HTTPSConnection", "ssl"]


def test_what_is_a_coroutines_function_is_told_without_inspect_as_with_it() -> None:
    assert run(COROUTINES).splitlines() == [str([True] * 4), str([False] * 4), "worked"]


def test_what_is_imported_already_stays() -> None:
    with instead_of("json", None):
        assert sys.modules["json"] is json


def test_a_stand_in_is_gone_afterwards() -> None:
    stand_in = ModuleType("blackbox_stand_in")
    with instead_of("blackbox_stand_in", stand_in):
        assert __import__("blackbox_stand_in") is stand_in
    with pytest.raises(ImportError), instead_of("blackbox_stand_in", None):
        __import__("blackbox_stand_in")
    assert "blackbox_stand_in" not in sys.modules
