"""Row 19 for real: the wall clock of a whole process jumps, through a shim below the C library's `clock_gettime`."""

import itertools
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import PATIENCE_SECONDS

SHIM = r"""
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t id, struct timespec *now) {
    long result = syscall(SYS_clock_gettime, id, now), seconds = 0;
    FILE *file = id == CLOCK_REALTIME ? fopen(getenv("CLOCK_OFFSET"), "r") : NULL;
    if (file != NULL) {
        if (fscanf(file, "%ld", &seconds) == 1) now->tv_sec += seconds;
        fclose(file);
    }
    return (int)result;
}
"""
PROGRAM = """
import time
from blackbox.sampling.sampler import Sampler
def publish(moment):
    print(moment.seq, moment.taken_at, moment.timestamp, flush=True)
sampler = Sampler([], publish, interval_seconds=0.2, host="here")
sampler.start()
input()
sampler.close(1)
"""
INTERVAL = 0.2
JUMPS = (-3600, 172_800)


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler")
    folder = tmp_path_factory.mktemp("shim")
    (folder / "shim.c").write_text(SHIM)
    library = folder / "shim.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, folder / "shim.c"], check=True)
    return library


@pytest.mark.fault(19)
def test_row_19_the_real_clock_jumps_and_the_cadence_holds(shim: Path, tmp_path: Path) -> None:
    offset = tmp_path / "offset"
    offset.write_text("0")
    environment = {"LD_PRELOAD": str(shim), "CLOCK_OFFSET": str(offset), "PATH": "/usr/bin:/bin"}
    sampling = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with sampling:
        assert sampling.stdin
        assert sampling.stdout
        rows: list[list[float]] = []
        for jump in (*JUMPS, None):
            rows += [[float(word) for word in sampling.stdout.readline().split()] for _ in range(4)]
            if jump is not None:
                offset.with_suffix(".new").write_text(str(jump))
                offset.with_suffix(".new").rename(offset)
        sampling.stdin.write("\n")
        sampling.stdin.flush()
        sampling.communicate(timeout=PATIENCE_SECONDS)
    seqs, taken_at, timestamps = zip(*rows, strict=True)
    assert list(seqs) == list(range(1, len(rows) + 1))
    gaps = [later - earlier for earlier, later in itertools.pairwise(taken_at)]
    assert statistics.median(gaps) == pytest.approx(INTERVAL, abs=0.05)
    wall_gaps = [later - earlier for earlier, later in itertools.pairwise(timestamps)]
    assert min(wall_gaps) < -3000
    assert max(wall_gaps) > 170_000
