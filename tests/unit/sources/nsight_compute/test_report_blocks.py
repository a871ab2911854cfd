"""The frame of a `.ncu-rep` file."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from blackbox.sources.nsight_compute.report_blocks import CutError, ReportProcess, processes_of
from tests.genuine import sample
from tests.ncu import report_file

ONE, OTHER = ReportProcess(40, "a", "/bin/one"), ReportProcess(41, "a", "/bin/other")


def written(folder: Path, content: bytes) -> Path:
    path = folder / "rep.ncu-rep"
    path.write_bytes(content)
    return path


def test_kernels_are_of_the_process_in_front_of_them(tmp_path: Path) -> None:
    path = written(tmp_path, report_file((*ONE, 0), (*ONE, 2), (*OTHER, 1), (*ONE, 1)))
    assert processes_of(path, 4) == [ONE, ONE, OTHER, ONE]


def test_where_the_reader_finds_another_number_of_kernels_only_a_single_process_is_certain(tmp_path: Path) -> None:
    assert processes_of(written(tmp_path, report_file((*ONE, 2), (*OTHER, 1))), 5) == [None] * 5
    assert processes_of(written(tmp_path, report_file((*ONE, 2), (*ONE, 1))), 5) == [ONE] * 5


@pytest.mark.parametrize("name", ["ncu-a40-full-5kernels", "ncu-gtx1660ti-basic-4kernels"])
def test_a_genuine_report_is_of_one_process(name: str) -> None:
    kernels = 5 if "a40" in name else 4
    (process,) = set(processes_of(sample(f"{name}.ncu-rep"), kernels))
    assert process is not None
    assert process.host == "127.0.0.1"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(end=st.integers(1, 200))
def test_a_file_that_ends_anywhere_but_between_two_blocks_is_cut(end: int, tmp_path: Path) -> None:
    first = report_file((*ONE, 1))
    whole = report_file((*ONE, 1), (*OTHER, 1))
    end = min(end, len(whole) - 5)
    path = written(tmp_path, whole[:-end])
    if len(whole) - end in (len(first), len(report_file())):
        assert len(processes_of(path, 0)) == 0
    else:
        with pytest.raises(CutError, match="it is cut"):
            processes_of(path, 2)


@pytest.mark.parametrize(
    "content", [b"NVR\0", b"NVR\0\xff\xff\xff\xff", b"XYZ\0\1\0\0\0a", report_file() + b"\1\0\0\0\x0b"]
)
def test_a_file_of_another_frame_is_left_to_the_reader_or_cut(content: bytes, tmp_path: Path) -> None:
    try:
        assert processes_of(written(tmp_path, content), 3) == [None] * 3
    except CutError:
        assert content == b"NVR\0"
