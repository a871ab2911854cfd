"""The tables that `ncu --csv` prints."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blackbox.errors import FailureError
from blackbox.sources.nsight_compute import table
from blackbox.sources.nsight_compute.counters import METRICS, counters
from tests import ncu

HEADER = '"ID","Process ID","Kernel Name","Block Size","Metric Name","Metric Unit","Metric Value"'


def written(directory: Path, text: str) -> Path:
    path = directory / "report.csv"
    path.write_text(text)
    return path


def long_table(directory: Path, *values: tuple[str, str], metric: str = "dram__bytes_read.sum") -> Path:
    rows = [
        f'"{number}","1","k","(32, 2, 1)","{metric}","{unit}","{value}"' for number, (value, unit) in enumerate(values)
    ]
    return written(directory, "\n".join([HEADER, *rows]))


@pytest.mark.parametrize("name", ["a40-full", "gtx1660ti-basic"])
@pytest.mark.parametrize("page", [ncu.raw_page, ncu.details_page])
def test_both_pages_tell_what_the_report_tells(tmp_path: Path, name: str, page: object) -> None:
    assert callable(page)
    figures = ncu.recorded(name)
    found = table.read(written(tmp_path, page(figures)))
    assert counters(found.kernels, "test") == counters(ncu.as_kernels(figures, pid=4711), "test")
    assert not found.rounded


def test_output_of_the_program_between_the_rows_is_left_out(tmp_path: Path) -> None:
    lines = ncu.raw_page(ncu.recorded("a40-full")).splitlines()
    noisy = "\n".join(line + '\nstep, loss "0.3\n"half a quote' for line in lines)
    assert len(table.read(written(tmp_path, noisy)).kernels) == 5


def test_a_table_that_ends_in_the_middle_of_a_row_is_refused(tmp_path: Path) -> None:
    text = ncu.raw_page(ncu.recorded("a40-full"))
    with pytest.raises(FailureError, match="the row of kernel 4 is cut short"):
        table.read(written(tmp_path, text[:-200]))


def test_sizes_are_taken_from_the_columns_of_every_launch(tmp_path: Path) -> None:
    found = table.read(long_table(tmp_path, ("5", "byte")))
    assert found.kernels[0].metrics["launch__block_size"] == 64


def test_scaled_units_are_scaled_back_and_told(tmp_path: Path) -> None:
    found = table.read(long_table(tmp_path, ("1.31", "Gbyte")))
    assert found.kernels[0].metrics["dram__bytes_read.sum"] == 1.31e9
    assert found.rounded


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (("1,310,489,728", "1,792"), [1_310_489_728, 1792]),
        (("1,234.50", "1,792"), [1234.5, 1792]),
        (("12.5", "7"), [12.5, 7]),
    ],
)
def test_separators_are_dropped_where_the_file_shows_what_they_are(
    tmp_path: Path, values: tuple[str, ...], expected: list[float]
) -> None:
    found = table.read(long_table(tmp_path, *((value, "byte") for value in values)))
    assert [kernel.metrics["dram__bytes_read.sum"] for kernel in found.kernels] == expected


@pytest.mark.parametrize("value", ["1,792", "12,5", "1.234.567", "a lot"])
def test_a_number_that_may_mean_two_things_is_refused(tmp_path: Path, value: str) -> None:
    with pytest.raises(FailureError, match="is no plain number: let ncu write it under LC_ALL=C"):
        table.read(long_table(tmp_path, (value, "byte")))


@pytest.mark.parametrize("value", ["", "n/a", "(!) nan", "nan"])
def test_what_the_profiler_did_not_measure_is_left_out(tmp_path: Path, value: str) -> None:
    found = table.read(long_table(tmp_path, (value, "byte")))
    assert "dram__bytes_read.sum" not in found.kernels[0].metrics


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "\0\0\0", "==ERROR== no kernels were profiled\n"])
def test_other_text_is_no_table(tmp_path: Path, text: str) -> None:
    with pytest.raises(FailureError, match="no table of 'ncu --csv'"):
        table.read(written(tmp_path, text))


def test_a_process_that_is_no_number_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FailureError, match="is no process id"):
        table.read(written(tmp_path, HEADER + '\n"0","me","k","","dram__bytes_read.sum","byte","1"'))


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["0", "1", "x", ""]),
            st.sampled_from(["7", "8", "", "9" * 5000]),
            st.sampled_from(["(1, 2, 3)", "(1,1,1)", "big", f"({'9' * 400}, 1, 1)"]),
            st.sampled_from([*sorted(METRICS)[:4], "other"]),
            st.sampled_from(["byte", "Mbyte", "us", "%", ""]),
            st.one_of(st.floats().map(repr), st.sampled_from(["", "n/a", "1,234", "1,234,567", '"', "1e999"])),
        )
    )
)
def test_any_table_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, ...]]) -> None:
    lines = [f'"{number}","{pid}","k",{",".join(map(quoted, rest))}' for number, pid, *rest in rows]
    path = written(tmp_path_factory.getbasetemp(), "\n".join([HEADER, *lines]))
    try:
        found = table.read(path)
    except FailureError:
        return
    assert len(counters(found.kernels, "test")) == len({kernel.pid for kernel in found.kernels})


def quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"'
