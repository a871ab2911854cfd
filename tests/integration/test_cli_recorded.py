"""The commands and both clients' methods that ask the recording, against the real server."""

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Coroutine, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

import blackbox.cli as cli
from blackbox.cli.common.screen import HEIGHT_MIN
from blackbox.client import AsyncClient, Client, StatusError
from blackbox.model.event import Event
from blackbox.model.moment import Moment
from blackbox.recorder import Recorder
from blackbox.terminal.demo import DEMO
from tests.moments import GIB, allocator, device, memory, moment, process, sample
from tests.recordings import recorded
from tests.running_server import environment
from tests.serving import Serving
from tests.waiting import PATIENCE_SECONDS, until

DEADLINE_SECONDS = PATIENCE_SECONDS
SECONDS = 30
START = float(int(time.time()) - SECONDS)


def machine(second: int) -> Moment:
    rows = [process(1, used_bytes=(10 + second) * GIB, name="leaky")]
    part = sample([device(memory=memory(used=50 * GIB))], rows, allocators=(allocator(1),))
    return moment(part, seq=second + 1, timestamp=START + second)


@pytest.fixture(scope="module")
def recorder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorder]:
    began = Event(kind="process_start", timestamp=START + 3, message="leaky (pid 1) began to use GPU 0", pid=1)
    with recorded(tmp_path_factory.mktemp("data"), map(machine, range(SECONDS)), [began]) as recorder:
        yield recorder


@pytest.fixture(scope="module")
def server(recorder: Recorder) -> Iterator[Serving]:
    with Serving(recording=recorder.recording) as serving:
        serving.hub.publish(moment(sample([device()])))
        yield serving


@pytest.fixture(autouse=True)
def own_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path))


def run(server: Serving, capsysbinary: pytest.CaptureFixture[bytes], *words: str) -> str:
    assert cli.main([*words, "--url", server.url]) == 0
    out, err = capsysbinary.readouterr()
    assert err == b""
    return out.decode()


def test_history(server: Serving, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    found = json.loads(run(server, capsysbinary, "history", "--from", f"{START}", "--pid", "1", "--points", "10"))
    assert [one["name"] for one in found["series"]] == ["leaky"]
    assert run(server, capsysbinary, "history", "--from", "10m", "--compact").count("\n") == 1


def test_at(server: Serving, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    found = json.loads(run(server, capsysbinary, "at", f"{START + 7}", "--blocks", "none"))
    assert (found["seq"], found["blocks"]) == (8, [])


def test_events(server: Serving, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    stamp = datetime.fromtimestamp(START + 3, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    line = f"{stamp}  process_start    leaky (pid 1) began to use GPU 0\n"
    assert run(server, capsysbinary, "events") == line
    assert run(server, capsysbinary, "events", "--since", "1h", "--kind", "process_start") == line
    assert run(server, capsysbinary, "events", "--kind", "xid", "--kind", "oom") == ""
    assert json.loads(run(server, capsysbinary, "events", "--json"))["events"][0]["pid"] == 1


def test_compare(server: Serving, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    lines = run(server, capsysbinary, "compare", f"{START + 1}", f"{START + 9}").splitlines()
    assert lines[1] == "    +8.0 GiB  grown    GPU 0  leaky (pid 1): 11.0 GiB, then 19.0 GiB"
    assert lines[2].split() == ["+8.0", "GiB", "other", "(opaque),", "1", "blocks,", "then", "1"]
    assert lines[-1] == "0 unchanged"
    assert json.loads(run(server, capsysbinary, "compare", f"{START + 1}", "--json"))["processes"]


def test_forecast(server: Serving, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    assert run(server, capsysbinary, "forecast").startswith("GPU 0: no prediction yet: too little is recorded yet")
    assert json.loads(run(server, capsysbinary, "forecast", "--json"))["advice"] == []


@pytest.fixture(scope="module")
def simulated(recorder: Recorder) -> Iterator[Serving]:
    with Serving(recording=recorder.recording) as serving:
        serving.hub.publish(moment(structs.replace(sample([device()]), simulated=True)))
        yield serving


ASKING = (["history"], ["events"], ["compare", f"{START + 1}"], ["forecast"])


@pytest.mark.parametrize("words", ASKING)
def test_every_answer_of_a_simulated_machine_says_so(
    simulated: Serving, server: Serving, words: list[str], capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    flags = [] if words == ["history"] else ["--json"]
    assert json.loads(run(simulated, capsysbinary, *words, *flags))["simulated"] is True
    assert json.loads(run(server, capsysbinary, *words, *flags))["simulated"] is False
    if flags:
        assert run(simulated, capsysbinary, *words).startswith(f"{DEMO}\n")
        assert DEMO not in run(server, capsysbinary, *words)


@pytest.mark.parametrize("words", ASKING)
def test_on_a_terminal_it_is_said_on_the_first_line_of_a_screen_that_still_fits(
    simulated: Serving, words: list[str], monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("NO_COLOR", "1")
    lines = run(simulated, capsysbinary, *words).splitlines()
    assert DEMO in lines[0]
    assert len(lines) < HEIGHT_MIN


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["at", "banana"], 2, "TIME: 'banana' is no time"),
        (["at", f"{START - 900}"], 1, "nothing was recorded at"),
        (["history", "--metric", "size"], 2, "metric: 'size' is none of"),
        (["events", "--kind", "boom"], 2, "kind: 'boom' is none of"),
        (["compare", "1h", "--gpu", "9"], 1, "answered 404"),
    ],
)
def test_a_mistake_is_one_line_and_a_code(
    server: Serving, words: list[str], code: int, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*words, "--url", server.url]) == code
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert text in err


def test_without_a_server_it_says_how_to_start_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["events", "--url", "http://127.0.0.1:9"]) == 1
    assert "blackbox serve" in capsys.readouterr().err


@pytest.mark.parametrize("json_wanted", [False, True])
def test_events_are_followed(server: Serving, recorder: Recorder, json_wanted: bool, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "blackbox", "events", "--follow", "--kind", "oom", "--url", server.url]
    message = f"out of memory, json {json_wanted}"
    command = [*words, "--json"] if json_wanted else words
    note(recorder, "oom", "known before")  # from which the program goes on: nothing is missed, however late it follows
    until(lambda: bool(Client(server.url).events(kind="oom")))
    streams = server.server.stats.streams_total
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment(tmp_path), text=True) as program:
        deadline = threading.Timer(DEADLINE_SECONDS, program.kill)
        deadline.start()
        try:
            assert program.stdout is not None
            until(lambda: server.server.stats.streams_total > streams)
            note(recorder, "xid", "not asked for")
            note(recorder, "oom", message)
            found = next(text for text in program.stdout if message in text)
        finally:
            deadline.cancel()
            program.kill()
    assert found.startswith("{") == json_wanted


def note(recorder: Recorder, kind: Any, message: str) -> None:
    recorder.note(Event(kind=kind, timestamp=time.time(), message=message, pid=1, uid=os.getuid()))


def test_both_clients_follow_events(server: Serving, recorder: Recorder) -> None:
    with Client(server.url).event_stream(kind="ecc", after=0) as stream:
        note(recorder, "ecc", "one")
        first = next(stream)
        note(recorder, "ecc", "two")
        assert (first.message, next(stream).message) == ("one", "two")

    async def follow() -> list[str]:
        async with AsyncClient(server.url).event_stream(kind=["ecc"], after=first.id - 1) as events:
            return [(await anext(events)).message for _ in range(2)]

    assert asyncio.run(follow()) == ["one", "two"]


class Asked:
    """Either client's methods, behind calls that block."""

    def __init__(self, kind: type[Client] | type[AsyncClient], url: str) -> None:
        self._client = kind(url)

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            found = getattr(self._client, name)(*arguments, **options)
            if not isinstance(found, Coroutine):
                return found

            async def wait() -> Any:
                return await found

            return asyncio.run(wait())

        return call


@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_both_clients_ask_everything(server: Serving, kind: type[Client] | type[AsyncClient]) -> None:
    client = Asked(kind, server.url)
    then = datetime.fromtimestamp(START + 7, UTC)
    assert client.at(then).seq == client.at(START + 7).seq == client.at(then.isoformat()).seq == 8
    assert [one.pid for one in client.history(since=START, pid=1, points=5).series] == [1]
    assert [event.kind for event in client.events(kind=["process_start", "gpu_lost"], limit=5)] == ["process_start"]
    assert client.compare(START + 1, START + 9).processes[0].delta_bytes == 8 * GIB
    assert {one.metric for one in client.aggregated("1h", metric="used_percent")} == {"used_percent"}
    assert client.forecast().gpus[0].full_in_seconds is None
    with pytest.raises(StatusError, match="nothing was recorded"):
        client.at(START - 900)
    with pytest.raises(StatusError, match="no time"):
        client.at("banana")
