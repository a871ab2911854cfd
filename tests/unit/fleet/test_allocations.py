"""What a scheduler gave: which GPUs it means, and the files that last as long as the job."""

from pathlib import Path

import pytest

from blackbox.errors import FailureError
from blackbox.fleet.allocations import Allocation, AllocationFiles, chosen

GPUS = [(0, "GPU-a"), (1, "GPU-b"), (2, "GPU-c"), (3, "GPU-d")]


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ("0", ("GPU-a",)),
        ("3,1", ("GPU-d", "GPU-b")),
        ("0-2", ("GPU-a", "GPU-b", "GPU-c")),
        ("0-1, 3,1", ("GPU-a", "GPU-b", "GPU-d")),
        ("GPU-c,0", ("GPU-c", "GPU-a")),
    ],
)
def test_gpus_are_named_by_index_range_or_uuid(named: str, expected: tuple[str, ...]) -> None:
    assert chosen(named, GPUS) == expected


@pytest.mark.parametrize("named", ["4", "2-4", "1-0", "x", "-1", "", ",", "0-99999", "GPU-x"])
def test_what_is_no_gpu_of_this_machine_is_refused(named: str) -> None:
    with pytest.raises(FailureError, match="no GPU"):
        chosen(named, GPUS)


def test_an_allocation_is_known_until_it_ends(tmp_path: Path) -> None:
    files = AllocationFiles(tmp_path / "deep" / "run")
    given = Allocation(job="4711", since=7, gpu_uuids=("GPU-a",), user="u-1")
    files.write(given)
    assert files.read("4711") == given
    assert (tmp_path / "deep" / "run" / "4711.json").stat().st_mode & 0o077 == 0
    files.remove("4711")
    files.remove("4711")
    with pytest.raises(FailureError, match="nothing is known of job 4711"):
        files.read("4711")


@pytest.mark.parametrize("job", ["../x", "a/b", "", "a b", "x" * 200])
def test_a_job_is_no_path(job: str, tmp_path: Path) -> None:
    with pytest.raises(FailureError, match="no number of a job"):
        AllocationFiles(tmp_path).write(Allocation(job=job, since=1, gpu_uuids=()))


def test_a_damaged_file_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "1.json").write_bytes(b"{")
    with pytest.raises(FailureError, match="damaged"):
        AllocationFiles(tmp_path).read("1")
