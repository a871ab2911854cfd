"""A flood of wrong passwords, and who does not notice it."""

import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import bcrypt
import pytest

from blackbox.server.auth import credentials
from blackbox.settings import Settings
from tests.serving import Raw, Serving
from tests.waiting import PATIENCE_SECONDS, until

FLOOD = 40
HASH = bcrypt.hashpw(b"right", bcrypt.gensalt(4)).decode()


def basic(password: str) -> str:
    return "Basic " + b64encode(f"ada:{password}".encode()).decode()


@pytest.fixture
def web_config(tmp_path: Path) -> Path:
    path = tmp_path / "web.yml"
    path.write_text(f"basic_auth_users: {{ada: '{HASH}'}}\n")
    return path


class EndlessChecks:
    """Password checks that do not end before they are told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.end = threading.Event()
        self.threads: set[str] = set()
        self._verify = credentials.verify
        monkeypatch.setattr(credentials, "verify", self._check)

    def _check(self, users: dict[str, str], user: str, password: bytes) -> bool:
        if password != b"right":
            self.threads.add(threading.current_thread().name)
            assert self.end.wait(PATIENCE_SECONDS)
        return self._verify(users, user, password)


@contextmanager
def flood(serving: Serving) -> Iterator[list[Raw]]:
    """Connections that each wait for the answer to a wrong password."""
    with ExitStack() as stack:
        attackers = [stack.enter_context(serving.connect()) for _ in range(FLOOD)]
        for number, raw in enumerate(attackers):
            raw.request("/vram", authorization=basic(f"wrong {number}"))
        yield attackers


@pytest.mark.fault(58)
def test_row_58_a_flood_of_wrong_passwords_delays_nobody_who_is_known(
    monkeypatch: pytest.MonkeyPatch, web_config: Path
) -> None:
    """While no wrong password's check ends, whoever was checked before is served, scrapes too, which need a thread."""
    with Serving(Settings(port=0, web_config=web_config)) as serving:
        serving.publish()
        assert serving.ask("/vram", authorization=basic("right")).status == 200
        checks = EndlessChecks(monkeypatch)
        try:
            with flood(serving) as attackers:
                until(lambda: serving.server.stats.requests_total["/vram", 503] == FLOOD - 16)
                for path in ("/vram", "/metrics", "/vram?blocks=summary", "/vram?gpu=0", "/healthz"):
                    assert serving.ask(path, authorization=basic("right")).status == 200
                checks.end.set()
                statuses = [raw.reply().status for raw in attackers]
        finally:
            checks.end.set()
        assert (statuses.count(401), statuses.count(503)) == (16, FLOOD - 16)
        assert len(checks.threads) == 1, "one at a time"
        assert serving.ask("/vram", authorization=basic("right")).status == 200


@pytest.mark.fault(58)
def test_row_58_who_is_known_ends_with_a_change_of_the_file(web_config: Path) -> None:
    with Serving(Settings(port=0, web_config=web_config)) as serving:
        serving.publish()
        assert serving.ask("/vram", authorization=basic("right")).status == 200
        web_config.write_text(f"basic_auth_users: {{ada: '{bcrypt.hashpw(b'new', bcrypt.gensalt(4)).decode()}'}}\n")
        serving.call(serving.server.reload)
        assert serving.ask("/vram", authorization=basic("right")).status == 401
        assert serving.ask("/vram", authorization=basic("new")).status == 200
