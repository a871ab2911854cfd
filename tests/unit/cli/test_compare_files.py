"""`blackbox compare` of snapshot files, and of a folder of them."""

import contextlib
import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from blackbox.cli import main
from tests import genuine
from tests.caching_allocator import MIB, CachingAllocator, RefusedError
from tests.traced_programs import STACKS

GENUINE = "torch-memory-snapshot-user-metadata.pickle"


def write(path: Path, batch: int, capacity: int = 1 << 40) -> Path:
    allocator = CachingAllocator(capacity)
    allocator.alloc(20 * MIB, frames=STACKS[0])
    with contextlib.suppress(RefusedError):
        allocator.free(allocator.alloc(batch * MIB, frames=STACKS[1]))
    path.write_bytes(pickle.dumps(allocator.snapshot((2, 12))))
    return path


def printed(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main(["compare", *map(str, arguments)]) == 0
    return capsys.readouterr().out


def peak(capsys: pytest.CaptureFixture[str], path: Path) -> int:
    assert main(["report", str(path), "--json"]) == 0
    return json.loads(capsys.readouterr().out)["peak"]["bytes"]


def test_two_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = write(tmp_path / "a.pickle", 30), write(tmp_path / "b.pkl", 50)
    text = printed(capsys, a, b)
    assert "GPU 0: 50.0 MiB, then 70.0 MiB (+20.0 MiB)" in text
    assert "grown   /app/model1.py:1 forward: 30.0 MiB, then 50.0 MiB" in text
    found = json.loads(printed(capsys, a, b, "--json"))
    (device,) = found["devices"]
    assert [device[side]["bytes"] for side in "ab"] == [peak(capsys, a), peak(capsys, b)]
    assert (found["a"], found["b"], device["delta_bytes"]) == ("a.pickle", "b.pkl", 20 * MIB)


def test_a_page_with_both(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = write(tmp_path / "a.pickle", 30), write(tmp_path / "b.pickle", 50)
    page = tmp_path / "page.html"
    assert "GPU 0: 50.0 MiB, then 70.0 MiB" in printed(capsys, a, b, "--html", page)
    assert b"the peak was 50.0 MiB, then 70.0 MiB" in page.read_bytes()
    assert main(["compare", str(a), str(b), "--html", str(tmp_path / "none" / "page.html")]) == 1


def test_a_genuine_file_is_the_same_as_itself(capsys: pytest.CaptureFixture[str]) -> None:
    path = genuine.sample(GENUINE)
    (device,) = json.loads(printed(capsys, path, path, "--json"))["devices"]
    assert device["a"]["bytes"] == device["b"]["bytes"] == peak(capsys, path)
    assert device["by_stack"] == []
    assert {change["change"] for change in device["by_category"]} == {"same"}


def test_a_folder_of_ranks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for rank, batch in ((10, 30), (2, 50), (0, 70)):
        write(tmp_path / f"rank{rank}.pickle", batch, 80 * MIB)
    (tmp_path / "notes.txt").write_text("not one of them")
    text = printed(capsys, tmp_path)
    lines = text.splitlines()
    assert [line.split()[0] for line in lines[1:4]] == ["rank0.pickle", "rank2.pickle", "rank10.pickle"]
    assert "Highest peak 70.0 MiB (rank2.pickle), lowest 20.0 MiB (rank0.pickle)" in text
    assert "rank0.pickle was refused first" in text
    found = json.loads(printed(capsys, tmp_path, "--json"))
    assert [row["peak_bytes"] // MIB for row in found["rows"]] == [20, 70, 50]
    assert found["first_refused"]["first_refused_bytes"] == 70 * MIB


def test_a_rank_that_cannot_be_read_costs_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "rank0.pickle", 30)
    (tmp_path / "rank1.pickle").write_bytes(b"broken")
    assert main(["compare", str(tmp_path)]) == 1
    text = capsys.readouterr().out
    assert "rank1.pickle: not read: not a memory snapshot of PyTorch" in text
    assert "rank0.pickle" in text


def test_rules_of_the_users_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = write(tmp_path / "a.pickle", 30), write(tmp_path / "b.pickle", 50)
    rules = tmp_path / "rules.txt"
    rules.write_text("first layer = model1.py\n")
    found: dict[str, Any] = json.loads(printed(capsys, a, b, "--json", "--rules", rules))
    changes = {change["category"]: change["delta_bytes"] for change in found["devices"][0]["by_category"]}
    assert changes["first layer"] == 20 * MIB


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["a.pickle"], 1),
        (["one.pickle"], 2),
        (["a.pickle", "1h"], 2),
        (["1h", "b.pickle"], 2),
        (["a.pickle", "b.pickle", "--gpu", "0"], 2),
        (["1h", "--rules", "x"], 2),
        (["1h", "--html", "x"], 2),
        (["folder", "--html", "x"], 2),
        (["a.pickle", "b.pickle"], 1),
        (["folder"], 1),
        (["bad"], 1),
    ],
)
def test_bad_input_is_one_line(
    words: list[str], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "x.pickle").write_bytes(b"broken")
    write(tmp_path / "one.pickle", 30)
    monkeypatch.chdir(tmp_path)
    assert main(["compare", *words]) == code
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_folder_named_like_a_time_is_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "1h").mkdir()
    monkeypatch.chdir(tmp_path)
    assert main(["compare", "1h", "--url", "http://127.0.0.1:9"]) == 1
    assert "127.0.0.1:9" in capsys.readouterr().err
