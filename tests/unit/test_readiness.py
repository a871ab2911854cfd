"""What the service manager is told, over its real kind of socket."""

import socket
from pathlib import Path

import pytest

from blackbox.readiness import ServiceManager


def listener(address: str) -> socket.socket:
    found = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    found.bind(address)
    found.settimeout(10)
    return found


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_it_hears_when_the_server_is_ready_and_when_it_stops(kind: str, tmp_path: Path) -> None:
    name = str(tmp_path / "notify")
    with listener(name if kind == "path" else "\0" + name) as manager:
        told = ServiceManager({"NOTIFY_SOCKET": name if kind == "path" else "@" + name})
        told.ready("serving here")
        assert manager.recv(4096) == b"READY=1\nSTATUS=serving here"
        told.stopping()
        assert manager.recv(4096).startswith(b"STOPPING=1\n")


def test_children_do_not_get_the_address() -> None:
    environ = {"NOTIFY_SOCKET": "/nowhere/notify", "HOME": "/"}
    ServiceManager(environ)
    assert environ == {"HOME": "/"}


@pytest.mark.parametrize("address", ["", "/nowhere/notify", "@nobody-listens-here", "vsock:2:1", "x" * 300])
def test_who_does_not_listen_disturbs_nothing(address: str) -> None:
    ServiceManager({"NOTIFY_SOCKET": address}).ready("serving")
