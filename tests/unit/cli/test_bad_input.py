"""Whatever is wrong with what a person typed: one line on stderr that is no fault of ours, nothing on stdout, and the
exit code of its kind: 2 for bad usage, 1 for what cannot be done, 126 and 127 as shells have them."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import blackbox.cli as cli

USAGE, FAILURE, NOT_EXECUTABLE, NOT_FOUND = 2, 1, 126, 127
DEAD = "http://127.0.0.1:1"
"""Nobody listens on port 1."""
FILES = {
    "junk": b"\xff\xfe\x00junk",
    "junk.pickle": b"\x80\x04junk",
    "none.pickle": b"",
    "junk.csv": b"a,b\n1,2\n",
    "junk.ncu-rep": b"NVR\0junk",
    "junk.bbdump": b"junk",
}
LONG = "x" * 5000
"""A name that no file system takes."""

BAD_SERVERS = (
    (["--url", "nonsense"], USAGE),
    (["--url", "http://[::1"], USAGE),
    (["--url", "http://a:99999"], USAGE),
    (["--url", "http://\0"], FAILURE),
    (["--url", DEAD], FAILURE),
    (["--unix-socket", "nowhere"], FAILURE),
    (["--unix-socket", LONG], FAILURE),
    (["--unix-socket", "a\0b"], USAGE),
    (["--token-file", "nowhere"], FAILURE),
    (["--token-file", "folder"], FAILURE),
    (["--config", "nowhere"], USAGE),
    (["--config", "junk"], USAGE),
    (["--config", "folder"], USAGE),
)
BAD_RECORDINGS = (
    (["--data-dir", "nowhere"], FAILURE),
    (["--data-dir", "folder"], FAILURE),
    (["--data-dir", "junk"], FAILURE),
    (["--data-dir", "a\0b"], USAGE),
    (["--data-dir", ""], USAGE),
    (["--config", "nowhere"], USAGE),
)
CASES: tuple[tuple[list[str], int], ...] = (
    *(([command.name, "--nonsense"], USAGE) for command in cli.COMMANDS if command.name != "run"),
    *(([command.name, "--log-level", "loud"], USAGE) for command in cli.COMMANDS),
    *(
        ([name, *words], code)
        for name in ("stat", "stream", "history", "events", "forecast")
        for words, code in BAD_SERVERS
    ),
    *(([name, "1h", *words], code) for name in ("at", "compare") for words, code in BAD_SERVERS),
    *(([name, *words], code) for name in ("dump", "export", "report") for words, code in BAD_RECORDINGS),
    (["at"], USAGE),
    (["compare"], USAGE),
    (["stat", "--watch", "0"], USAGE),
    (["stat", "--watch", "banana"], USAGE),
    (["stat", "--blocks", "many"], USAGE),
    (["report", "nowhere"], FAILURE),
    (["report", "junk"], FAILURE),
    (["report", "junk.pickle"], FAILURE),
    (["report", "none.pickle"], FAILURE),
    (["report", "junk.bbdump"], FAILURE),
    (["report", "folder"], FAILURE),
    (["report", LONG], FAILURE),
    (["report", "a\0b"], USAGE),
    (["report", "http://"], USAGE),
    (["report", DEAD], FAILURE),
    (["report", "--url", DEAD], FAILURE),
    (["report", "--url", "nonsense"], FAILURE),
    (["report", "folder", "--url", DEAD], USAGE),
    (["report", "--minutes", "0"], USAGE),
    (["report", "--from", "someday"], USAGE),
    (["report", "--from", "5m", "--minutes", "3"], USAGE),
    (["report", "--from", "6m", "--to", "5m", "--url", DEAD], FAILURE),
    (["report", "junk.bbdump", "--from", "5m"], USAGE),
    (["dump", "--minutes", "-1"], USAGE),
    (["dump", "--to", "nan"], USAGE),
    (["dump", "--minutes", "many"], USAGE),
    (["export", "--format", "xml"], USAGE),
    (["export", "--from", "1h", "--to", "2h", "--data-dir", "folder"], USAGE),
    (["export", "--from", "nan", "--data-dir", "folder"], USAGE),
    (["export", "--from", "9" * 400, "--data-dir", "folder"], USAGE),
    (["export", "--data-dir", "folder", "-o", "nowhere/x.csv"], FAILURE),
    (["import"], USAGE),
    (["import", "junk"], USAGE),
    (["import", "a\0b.pickle"], USAGE),
    (["import", "nowhere.pickle"], FAILURE),
    (["import", LONG + ".csv"], FAILURE),
    *((["import", name], FAILURE) for name in ("junk.pickle", "none.pickle", "junk.csv", "junk.ncu-rep")),
    (["doctor", "--config", "nowhere"], USAGE),
    (["release", "--port", "x"], USAGE),
    (["release", "--port=--"], USAGE),
    (["serve", "--host=--"], USAGE),
    (["release", "--port", "1"], FAILURE),
    (["resume", "--port", "65536"], USAGE),
    (["completion"], USAGE),
    (["completion", "powershell"], USAGE),
    (["run"], USAGE),
    (["run", "--"], USAGE),
    (["run", "--", "a\0b"], USAGE),
    (["run", "--", "./nowhere"], NOT_FOUND),
    (["run", "--", "./folder"], NOT_EXECUTABLE),
    (["serve", "x"], USAGE),
    (["serve", "1", "--port", "2"], USAGE),
    (["serve", "--interval", "0"], USAGE),
    (["serve", "--threshold", "101"], USAGE),
    (["serve", "--speed", "x"], USAGE),
    (["serve", "--data-limit", "1"], USAGE),
    (["serve", "--engine", "ftp://x"], USAGE),
    (["serve", "--vendor", "intel"], USAGE),
    (["serve", "--socket-group", "x"], USAGE),
    (["serve", "--require-record", "--no-record"], USAGE),
    (["serve", "--allowed-host", ""], USAGE),
    (["serve", "--token-file", "a\0b"], USAGE),
    (["serve", "--config", "junk"], USAGE),
)

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A current folder with files that are not what their names say, and an empty folder."""
    for name, body in FILES.items():
        (tmp_path / name).write_bytes(body)
    (tmp_path / "folder").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BLACKBOX_PORT", "1")  # where no server of this machine is


def told(words: list[str], capsys: Capture) -> int:
    """The exit code, where all else is as it should be."""
    code = cli.main(words)
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1), err
    assert err.startswith("blackbox")
    assert "fault in Blackbox" not in err
    return code


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(("words", "code"), CASES, ids=[repr(" ".join(words))[1:60] for words, _ in CASES])
def test_bad_input_is_one_line_and_the_code_of_its_kind(words: list[str], code: int, capsys: Capture) -> None:
    assert told(words, capsys) == code


@pytest.mark.usefixtures("here")
@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    words=st.sampled_from(
        (
            ["release", "--port={}"],
            ["dump", "--data-dir=folder", "--minutes={}"],
            ["dump", "--data-dir={}/nowhere"],
            ["export", "--data-dir=folder", "--from={}"],
            ["import", "--", "{}.pickle"],
            ["report", "--", "folder/{}"],
            ["stat", "--url={}"],
            ["stat", "--watch={}", f"--url={DEAD}"],
            ["serve", "--interval={}", "--require-record", "--no-record"],
            ["serve", "--threshold={}", "--require-record", "--no-record"],
        )
    ),
    text=st.text(max_size=20),
)
def test_any_text_anywhere_is_an_error_of_its_kind(words: list[str], text: str, capsys: Capture) -> None:
    assert told([word.replace("{}", text) for word in words], capsys) in (USAGE, FAILURE)
