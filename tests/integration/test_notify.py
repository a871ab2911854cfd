"""`serve --notify` tells a real HTTP receiver, through Apprise, and keeps every secret."""

import http.server
import json
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from blackbox.client import Client
from tests.running_server import RunningServer, blackbox, environment
from tests.waiting import PATIENCE_SECONDS, until

SECRET = "hunter2hunter2"
DEMO = ("--demo", "--interval", "100ms", "--threshold", "1")
"""Every GPU of the demo is above 1 % at once."""


class Receiver(http.server.ThreadingHTTPServer):
    """Takes what is posted, with the status it is told to answer."""

    status = 200

    def __init__(self) -> None:
        self.posted: list[dict[str, Any]] = []
        self.authorizations: set[str | None] = set()
        super().__init__(("127.0.0.1", 0), Taking)


class Taking(http.server.BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.authorizations.add(self.headers["Authorization"])
        self.server.posted.append(json.loads(body))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as found:
        thread = threading.Thread(target=found.serve_forever)
        thread.start()
        yield found
        found.shutdown()
        thread.join()


def asked(server: RunningServer, path: str) -> bytes:
    with urllib.request.urlopen(f"{server.url}{path}", timeout=PATIENCE_SECONDS) as answer:
        return answer.read()


def metric(server: RunningServer, name: str) -> float | None:
    lines = asked(server, "/metrics").decode().splitlines()
    return next((float(line.split()[1]) for line in lines if line.startswith(f"{name} ")), None)


def test_people_are_told_with_figures_and_a_link(receiver: Receiver, tmp_path: Path) -> None:
    address = f"json://127.0.0.1:{receiver.server_port}/"
    public = ("--public-url", "https://gpu1.example.org/bb/")
    with RunningServer(tmp_path, *DEMO, "--notify", address, *public) as server:
        until(lambda: receiver.posted)
        told = receiver.posted[0]
        assert told["title"].startswith("[SIMULATED] ")
        assert told["title"].endswith(": GPU memory above a threshold")
        assert "of its memory, above 1 %" in told["message"]
        assert "GiB in use" in told["message"]
        assert "https://gpu1.example.org/bb/#/moment?t=" in told["message"]
        status = until(lambda: (found := Client(server.url).status().notify) and found.sent_total and found)
        assert status
        assert status.services == ("json #1",)
        assert status.failures_total == 0
        assert (metric(server, "blackbox_notify_sent_total") or 0) >= 1


def test_secrets_come_from_a_file_and_show_nowhere(receiver: Receiver, tmp_path: Path) -> None:
    file = tmp_path / "addresses"
    file.write_text(f"json://user:{SECRET}@127.0.0.1:{receiver.server_port}/{SECRET}\n")
    file.chmod(0o600)
    receiver.status = 500
    with RunningServer(tmp_path, *DEMO, "--notify-file", str(file), "--log-level", "debug") as server:
        status = until(lambda: (found := Client(server.url).status().notify) and found.failures_total and found)
        assert status
        assert status.last_failure == "json #1: answered 500"
        assert (metric(server, "blackbox_notify_failures_total") or 0) >= 1
        assert any(name and name.startswith("Basic ") for name in receiver.authorizations)
        shown = [
            asked(server, "/settings"),
            asked(server, "/status"),
            Path(f"/proc/{server.pid}/cmdline").read_bytes(),
        ]
        vram = Client(server.url).snapshot(blocks="none")
        assert vram.total_bytes > 0
    assert SECRET not in server.log
    assert "a notification failed: json #1: answered 500" in server.log
    assert all(SECRET.encode() not in text for text in shown)


def test_settings_show_the_kind_of_address_alone(receiver: Receiver, tmp_path: Path) -> None:
    address = f"json://127.0.0.1:{receiver.server_port}/private-path"
    with RunningServer(tmp_path, *DEMO, "--notify", address) as server:
        (setting,) = (one for one in Client(server.url).settings() if one.name == "notify")
    assert setting.value == ("json://...",)


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (("--notify", f"json://user:{SECRET}@localhost/"), 2, "--notify-file"),
        (("--notify", "nonsense://x"), 2, "none that Apprise understands"),
        (("--notify-file", "/nowhere/addresses"), 1, "cannot read"),
        (("--public-url", "gpu1"), 2, "no address of a web page"),
        (("--notify", "json://localhost/", "--replay", "x.dump"), 2, "exclude"),
    ],
)
def test_what_makes_no_sense_is_refused(words: tuple[str, ...], code: int, complaint: str, tmp_path: Path) -> None:
    done = blackbox("serve", "0", "--demo", *words, env=environment(tmp_path))
    assert done.returncode == code
    assert complaint in done.stderr
    assert SECRET not in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_nobody_is_told_unless_it_is_asked_for(tmp_path: Path) -> None:
    with RunningServer(tmp_path, *DEMO) as server:
        assert Client(server.url).status().notify is None
        assert metric(server, "blackbox_notify_sent_total") is None
