"""Coverage where tests run side by side: `-p tests.measured` measures each worker from before it imports Blackbox."""

import os

import coverage

WORKER = "PYTEST_XDIST_WORKER"
"""The process that hands out the tests runs nothing of ours."""
measured = coverage.Coverage(data_suffix=True) if WORKER in os.environ else None
if measured is not None:
    measured.start()


def pytest_unconfigure() -> None:
    if measured is not None:
        measured.stop()
        measured.save()
