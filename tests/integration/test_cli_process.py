"""The command line as users meet it: processes, exit codes, one line on stderr, and a real server."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.running_server import RunningServer, blackbox, environment
from tests.waiting import PATIENCE_SECONDS, until


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with RunningServer(tmp_path_factory.mktemp("home"), "--demo", "--interval", "100ms") as running:
        yield running


def the_only_line(text: str) -> str:
    assert text.count("\n") == 1, text
    assert "Traceback" not in text
    return text


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["serve", "--port", "banana"], 2, "'banana' is not a port"),
        (["serve", "65536"], 2, "'65536' is not a port"),
        (["serve", "--interval", "1ms"], 2, "below the shortest interval"),
        (["serve", "--config", "/nonexistent.toml"], 2, "/nonexistent.toml: no such file"),
        (["serve", "--config", "/"], 2, "Is a directory"),
        (["serve", "0", "--host", "0.0.0.0"], 2, "--no-auth"),
        (["serve", "0", "--token-file", "/nonexistent"], 1, "/nonexistent"),
        (["serve", "0", "--web-config", "/nonexistent"], 1, "/nonexistent"),
        (["stat", "--url", "nonsense"], 2, "not the URL of a server"),
        (["stat", "--token-file", "/nonexistent"], 1, "/nonexistent"),
        (["frobnicate"], 2, "there is no command"),
        (["release"], 1, "no server of this user runs"),
    ],
)
def test_bad_input_is_one_line_and_the_right_code(tmp_path: Path, words: list[str], code: int, message: str) -> None:
    done = blackbox(*words, env=environment(tmp_path))
    assert (done.returncode, done.stdout) == (code, "")
    assert message in the_only_line(done.stderr)


def test_a_settings_file_with_an_unknown_key(tmp_path: Path) -> None:
    (tmp_path / "blackbox").mkdir()
    (tmp_path / "blackbox/config.toml").write_text("prot = 1")
    for command in ("serve", "stat", "doctor"):
        done = blackbox(command, env=environment(tmp_path))
        assert done.returncode == 2
        assert "unknown key 'prot'; did you mean 'port'?" in the_only_line(done.stderr)


@pytest.mark.fault(34)
def test_row_34_a_taken_port_is_one_line_that_names_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = blackbox("serve", port, "--demo", env=environment(tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    assert port in the_only_line(done.stderr)


def test_without_a_server_stat_says_how_to_start_one(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    for command in ("stat", "stream"):
        done = blackbox(command, "--url", f"http://localhost:{port}", env=environment(tmp_path))
        assert (done.returncode, done.stdout) == (1, "")
        assert "blackbox serve" in the_only_line(done.stderr)


def test_stat_prints_one_snapshot_and_nothing_else(server: RunningServer, tmp_path: Path) -> None:
    done = blackbox("stat", "--url", server.url, env=environment(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    snapshot = json.loads(done.stdout)
    assert snapshot["simulated"] is True
    assert len(done.stdout.splitlines()) > len(snapshot)


def test_stat_selects(server: RunningServer, tmp_path: Path) -> None:
    done = blackbox(
        "stat", "--url", server.url, "--compact", "--gpu", "0", "--blocks", "none", env=environment(tmp_path)
    )
    (line,) = done.stdout.splitlines()
    snapshot = json.loads(line)
    assert ([gpu["index"] for gpu in snapshot["gpus"] if gpu["parent_uuid"] is None], snapshot["blocks"]) == ([0], [])
    done = blackbox("stat", "--url", server.url, "--gpu", "99", env=environment(tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    assert "404" in the_only_line(done.stderr)


def test_the_settings_of_the_server_lead_to_it(server: RunningServer, tmp_path: Path) -> None:
    env = environment(tmp_path, BLACKBOX_PORT=str(server.port))
    assert blackbox("stat", env=env).returncode == 0


def test_stat_on_a_machine_without_a_gpu_exits_with_1_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_NVML_STATE", str(tmp_path / "none"))
    monkeypatch.setenv("BLACKBOX_VENDOR", "nvidia")
    with RunningServer(tmp_path, "--no-record") as bare:
        for words in ((), ("--compact",)):
            done = blackbox("stat", "--url", bare.url, *words, env=environment(tmp_path))
            assert done.returncode == 1
            assert json.loads(done.stdout)["gpus"] == []
            assert "no GPU found" in the_only_line(done.stderr)


def test_doctor_sees_the_server_and_never_hangs(server: RunningServer, tmp_path: Path) -> None:
    env = environment(tmp_path, BLACKBOX_PORT=str(server.port))
    done = blackbox("doctor", "--json", env=env)
    findings = {finding["subject"]: finding for finding in map(json.loads, done.stdout.splitlines())}
    assert "simulated" in findings["server"]["text"]
    assert {"python", "system", "settings", "driver", "pids", "profiling", "files"} <= findings.keys()
    failed = any(finding["level"] == "fail" for finding in findings.values())
    assert done.returncode == int(failed)
    assert all("remedy" in finding for finding in findings.values() if finding["level"] == "fail")
    assert "driver" in blackbox("doctor", env=env).stdout


def reading(*words: str, tmp_path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "blackbox", *words],
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("words", [("stream",), ("stat", "--watch", "100ms", "--compact")])
def test_reading_on_ends_quietly(server: RunningServer, tmp_path: Path, words: tuple[str, ...]) -> None:
    for with_signal, code in [(signal.SIGINT, 130), (None, 141)]:
        with reading(*words, "--url", server.url, "--blocks", "none", tmp_path=tmp_path) as reader:
            assert reader.stdout
            assert reader.stderr
            numbers = [json.loads(reader.stdout.readline())["seq"] for _ in range(3)]
            assert numbers == sorted(numbers)
            if with_signal:
                reader.send_signal(with_signal)
            else:
                reader.stdout.close()
            said = [line for line in reader.stderr if not line.startswith("blackbox: missed ")]  # on a loaded machine
            assert said == []
            assert reader.wait(PATIENCE_SECONDS) == code


def test_a_stream_survives_a_restart_of_the_server(tmp_path: Path) -> None:
    with (
        RunningServer(tmp_path, "--demo", "--interval", "100ms") as first,
        reading("stream", "--url", first.url, "--blocks", "none", tmp_path=tmp_path) as reader,
    ):
        assert reader.stdout
        assert reader.stderr
        before = [json.loads(reader.stdout.readline())["seq"] for _ in range(5)]
        assert first.stop() == 0
        with RunningServer(tmp_path, "--demo", "--interval", "10s", port=first.port):  # so that it counts slowly
            after = json.loads(reader.stdout.readline())["seq"]
            reader.send_signal(signal.SIGINT)
            told = reader.stderr.read()
    assert after < before[-1]
    assert "trying again" in told


def state_of_sources(server: RunningServer, tmp_path: Path) -> set[str]:
    done = blackbox("stat", "--url", server.url, "--blocks", "none", env=environment(tmp_path))
    return {source["state"] for source in json.loads(done.stdout)["sources"]}


@pytest.mark.fault(3)
def test_row_03_release_and_resume(tmp_path: Path) -> None:
    with RunningServer(tmp_path, "--demo", "--interval", "100ms") as server:
        env = environment(tmp_path)
        done = blackbox("release", env=env)
        assert (done.returncode, done.stderr) == (0, "")
        assert str(server.pid) in done.stdout
        until(lambda: state_of_sources(server, tmp_path) == {"released"})
        elsewhere = blackbox("resume", env=env | {"BLACKBOX_URL": "https://ana:secret@gpu1.example.org:6767"})
        assert (elsewhere.returncode, "gpu1.example.org" in elsewhere.stderr) == (1, True)
        assert "secret" not in elsewhere.stderr
        assert blackbox("resume", env=env | {"BLACKBOX_URL": "http://localhost:1"}).returncode == 1
        assert blackbox("resume", env=env | {"BLACKBOX_URL": server.url}).returncode == 0
        until(lambda: state_of_sources(server, tmp_path) == {"ok"})
        assert server.stop() == 0
        assert blackbox("release", env=env).returncode == 1
