"""`blackbox import` of Nsight Compute's reports: the `nsight_metrics` object, or one line."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import genuine, ncu
from tests.waiting import PATIENCE_SECONDS

SECONDS_MAX = PATIENCE_SECONDS
INSTALL_SECONDS_MAX = 240
CONTRACT_KEYS = {
    "atomic_operations",
    "threads_per_block",
    "occupancy",
    "active_blocks",
    "memory_throughput",
    "dram_read_bytes",
    "dram_write_bytes",
    "available",
}


def imported(path: Path, reader: Path | None = None) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "blackbox", "import", str(path), "--compact"],
        capture_output=True,
        text=True,
        timeout=SECONDS_MAX,
        check=False,
        env={**os.environ, "PYTHONPATH": str(reader)} if reader else None,
    )


def answer_of(done: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    assert (done.returncode, done.stderr, done.stdout.count("\n")) == (0, "", 1)
    answer = json.loads(done.stdout)
    for entry in answer.values():
        assert entry.keys() >= CONTRACT_KEYS
        assert (entry["available"], entry["scope"]) == (True, "kernel")
    return answer


def assert_refused(done: "subprocess.CompletedProcess[str]", path: Path, reason: str) -> None:
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"blackbox: {path}: {reason}")
    assert done.stderr.count("\n") == 1


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """NVIDIA's reader, installed aside: it is proprietary, and no dependency of ours."""
    target = tmp_path_factory.mktemp("reader")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", target, "ncu-report"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=INSTALL_SECONDS_MAX, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip("NVIDIA's reader could not be installed in time")
    if done.returncode != 0:
        pytest.skip("NVIDIA's reader cannot be installed here (pip install ncu-report)")
    return target


def test_a_table_is_told_by_process(tmp_path: Path) -> None:
    path = tmp_path / "profile.csv"
    path.write_text(ncu.raw_page(ncu.recorded("a40-full"), pid=4711))
    entry = answer_of(imported(path))["4711"]
    assert entry["source"] == "ncu_csv"
    assert entry["dram_read_bytes"] == 1_310_520_320
    assert entry["memory_throughput"] == 466_719_207_221
    assert entry["unknown"].keys() == {"active_blocks"}


def test_figures_that_a_table_lacks_are_zero_and_named(tmp_path: Path) -> None:
    path = tmp_path / "profile.csv"
    path.write_text(ncu.details_page(ncu.recorded("gtx1660ti-basic"), pid=1))
    entry = answer_of(imported(path))["1"]
    assert (entry["dram_read_bytes"], entry["threads_per_block"]) == (0, 64)
    assert "dram_read_bytes" in entry["unknown"]


def test_an_empty_table_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "profile.csv"
    path.write_text(ncu.raw_page(ncu.recorded("a40-full")).split('"0",')[0])
    assert_refused(imported(path), path, "no kernel in it")


def test_any_other_file_by_that_name_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "profile.ncu-rep"
    path.write_bytes(os.urandom(4096))
    assert_refused(imported(path), path, "not a report of Nsight Compute")


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    for name in ("none.ncu-rep", "none.csv"):
        assert_refused(imported(tmp_path / name), tmp_path / name, "No such file or directory")


def test_without_the_reader_a_report_tells_how_to_get_it(tmp_path: Path) -> None:
    (tmp_path / "ncu_report.py").write_text("raise ImportError")
    path = tmp_path / "profile.ncu-rep"
    path.write_bytes(b"NVR\0")
    done = imported(path, tmp_path)
    assert_refused(done, path, "reading it needs NVIDIA's reader")
    assert "pip install ncu-report" in done.stderr
    assert "--csv" in done.stderr


def test_a_reader_that_crashes_costs_one_line(tmp_path: Path) -> None:
    (tmp_path / "ncu_report.py").write_text("import os\nos.abort()")
    path = tmp_path / "profile.ncu-rep"
    path.write_bytes(b"NVR\0")
    assert_refused(imported(path, tmp_path), path, "NVIDIA's reader crashed on it (signal 6)")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("while True: os.write(OUT, bytes(1 << 20))", "its kernels take more than 256 MiB"),
        ("os.write(OUT, b'nonsense'); os._exit(0)", "NVIDIA's reader made nonsense of it"),
        ("[os.write(2, b'chatter ' * 1000) for _ in range(1000)]; raise OSError('no more')", "NVIDIA's reader cannot"),
    ],
)
def test_a_reader_gone_wild_costs_one_line_and_bounded_memory(tmp_path: Path, code: str, reason: str) -> None:
    find = "OUT = max(int(fd) for fd in os.listdir('/proc/self/fd') if 'pipe' in _where(fd))"
    path = "f'/proc/self/fd/{fd}'"
    where = f"def _where(fd):\n    return os.readlink({path}) if os.path.exists({path}) else ''"
    (tmp_path / "ncu_report.py").write_text(f"import os\n{where}\n{find}\ndef load_report(path):\n    {code}\n")
    path = tmp_path / "profile.ncu-rep"
    path.write_bytes(b"NVR\0")
    assert_refused(imported(path, tmp_path), path, reason)


READER = """
class Metric:
    ValueKind_STRING, ValueKind_ANY, ValueKind_UNKNOWN = range(3)
    has_value, kind, unit = (lambda self: True), (lambda self: 9), (lambda self: "byte")
    def __init__(self, value):
        self.as_double = lambda: value
class Action:
    metric_names = lambda self: ["dram__bytes_read.sum"]
    def __init__(self, value):
        self.metric_by_name = lambda name: Metric(value)
class Range:
    num_actions = lambda self: 3
    action_by_idx = lambda self, place: Action(10.0 ** place)
class Report:
    num_ranges = lambda self: 1
    range_by_idx = lambda self, number: Range()
load_report = lambda path: Report()
"""
"""As much of NVIDIA's as is called: three kernels that read 1, 10 and 100 bytes."""


@pytest.fixture
def scripted_reader(tmp_path: Path) -> Path:
    (tmp_path / "ncu_report.py").write_text(READER)
    return tmp_path


def test_the_processes_of_a_report_are_told_apart(scripted_reader: Path, tmp_path: Path) -> None:
    path = tmp_path / "rep_1.ncu-rep"
    path.write_bytes(ncu.report_file((40, "a", "/bin/one", 1), (41, "a", "/bin/other", 1), (40, "a", "/bin/one", 1)))
    answer = answer_of(imported(path, scripted_reader))
    assert {pid: (one["dram_read_bytes"], one["program"]) for pid, one in answer.items()} == {
        "40": (101, "/bin/one"),
        "41": (10, "/bin/other"),
    }


def test_kernels_whose_process_is_not_told_are_of_the_number_in_the_name(scripted_reader: Path, tmp_path: Path) -> None:
    path = tmp_path / "rep_7.ncu-rep"
    path.write_bytes(ncu.report_file((40, "a", "/bin/one", 1), (41, "a", "/bin/other", 1)))
    answer = answer_of(imported(path, scripted_reader))
    assert {pid: one["dram_read_bytes"] for pid, one in answer.items()} == {"7": 111}


def test_equal_pids_of_several_hosts_are_refused(scripted_reader: Path, tmp_path: Path) -> None:
    path = tmp_path / "both.ncu-rep"
    path.write_bytes(ncu.report_file((40, "a", "/bin/one", 2), (40, "b", "/bin/one", 1)))
    assert_refused(imported(path, scripted_reader), path, "process 40 is one on a and another on b")


@pytest.mark.slow
def test_the_genuine_report_of_an_a40(reader: Path) -> None:
    entry = answer_of(imported(genuine.sample("ncu-a40-full-5kernels.ncu-rep"), reader))["4597"]
    assert entry["program"].endswith("/julia-1.8/bin/julia")
    assert entry["source"] == "ncu_report"
    assert (entry["dram_read_bytes"], entry["dram_write_bytes"]) == (1_310_520_320, 736_129_280)
    assert (entry["memory_throughput"], entry["threads_per_block"]) == (466_719_207_221, 768)
    assert (entry["occupancy"], entry["active_blocks"], entry["atomic_operations"]) == (50.25, 89, 0)


@pytest.mark.slow
def test_the_genuine_report_of_a_gtx_1660_ti_is_of_the_process_that_stands_in_it(reader: Path, tmp_path: Path) -> None:
    path = tmp_path / "rep_4711.ncu-rep"
    path.write_bytes(genuine.sample("ncu-gtx1660ti-basic-4kernels.ncu-rep").read_bytes())
    entry = answer_of(imported(path, reader))["45625"]
    assert entry["program"].endswith("pg_84_simpleDivergence")
    assert (entry["threads_per_block"], entry["occupancy"]) == (64, 6.23)
    assert {"dram_read_bytes", "dram_write_bytes", "memory_throughput"} <= entry["unknown"].keys()


@pytest.mark.slow
def test_a_genuine_report_that_was_cut_is_named_as_cut(reader: Path, tmp_path: Path) -> None:
    whole = genuine.sample("ncu-a40-full-5kernels.ncu-rep").read_bytes()
    for length in (64, 1000, len(whole) // 2, len(whole) - 1000):
        path = tmp_path / "cut.ncu-rep"
        path.write_bytes(whole[:length])
        assert_refused(imported(path, reader), path, "it is cut: ")
