"""Windows of kernel records, out of a CUPTI of our own making."""

import ctypes
import struct
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from blackbox.agent.devices import Chip
from blackbox.agent.probes import cupti as probes
from blackbox.agent.probes.cupti import library
from blackbox.agent.probes.cupti.probe import PAUSE_SECONDS, PROFILER, RETIRED, CuptiProbe
from blackbox.agent.probes.cupti.records import BYTES, NoKernelError, read_launch
from blackbox.wire.report import KernelReport
from tests.clocks import ManualClock
from tests.fake_frameworks import build_cupti

H200 = Chip(132, 2048, 32, 65536, 233472, 1024, 9)
TICK = 0.5


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = build_cupti(tmp_path_factory.mktemp("cupti"))
    ctypes.CDLL(str(path))
    return path


class Program:
    """A program whose kernels a probe watches."""

    def __init__(self, chip: Chip | None = H200) -> None:
        self.clock = ManualClock()
        self.initialized = True
        torch: Any = SimpleNamespace(cuda=SimpleNamespace(is_initialized=lambda: self.initialized))
        self.probe = CuptiProbe(torch, lambda _: chip, self.clock)

    def tick(self, seconds: float = TICK) -> KernelReport | None:
        """What the next tick reports."""
        self.clock.advance(seconds)
        report = self.probe.report(full=False)
        assert report is None or report.source == "cupti"
        return report.kernels[0] if report is not None and report.kernels else None


@pytest.fixture
def program(loaded: Path) -> Program:
    return Program()


def test_a_window_lasts_from_one_tick_to_the_next_and_is_summed_up(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_CUPTI_KERNELS", "256 32 0 10000 300 10;128 32 100000 20 7000 1")
    assert program.tick() is None
    told = program.tick()
    assert told is not None
    assert (told.scope, told.threads_per_block) == ("process", 128)
    assert told.occupancy == 38.75  # 100 % for 3,000 ns, 12.5 % for 7,000
    assert told.active_blocks == round((8 * 132 * 3000 + 20 * 7000) / 10_000)
    assert "theoretical" in told.unknown["occupancy"]
    assert told.atomic_operations is None


def test_between_windows_cupti_is_left_alone(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_CUPTI_KERNELS", "256 32 0 1 100 1")
    program.tick()
    first = program.tick()
    monkeypatch.setenv("FAKE_CUPTI_KERNELS", "512 32 0 1 100 1")
    assert program.tick(PAUSE_SECONDS - TICK) == first
    monkeypatch.setenv("FAKE_CUPTI_BUSY", "1")  # whoever opened now would be told
    assert program.tick(0.0) == first
    monkeypatch.delenv("FAKE_CUPTI_BUSY")
    program.tick()
    later = program.tick()
    assert later is not None
    assert later.threads_per_block == 512


def test_before_cuda_is_set_up_nothing_is_loaded_or_said(program: Program) -> None:
    program.initialized = False
    assert program.tick() is None
    assert program.probe._cupti is None


def test_another_profiler_is_left_alone_and_tried_again_later(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_CUPTI_BUSY", "1")
    told = program.tick()
    assert told is not None
    assert "another profiler" in told.unknown["occupancy"]
    monkeypatch.delenv("FAKE_CUPTI_BUSY")
    monkeypatch.setenv("FAKE_CUPTI_KERNELS", "64 8 0 1 100 1")
    assert program.tick() == told
    program.tick(60)
    later = program.tick()
    assert later is not None
    assert later.threads_per_block == 64


def test_the_programs_own_profiler_ends_it_for_good_even_in_a_window(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    profiler: Any = ModuleType(PROFILER)
    started: list[object] = []
    profiler._prepare_profiler = lambda *arguments: started.append(arguments)
    monkeypatch.setitem(sys.modules, PROFILER, profiler)
    program.probe.watch()
    program.tick()
    profiler._prepare_profiler("config", "activities")
    assert started == [("config", "activities")]
    other = library.Cupti()
    other.open()  # nobody else is subscribed any more
    assert other.close() == []
    for _ in range(40):
        told = program.tick()
        assert told is not None
        assert told.unknown["occupancy"] == RETIRED


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [("FAKE_CUPTI_VERSION", "150000", "CUPTI 150000"), ("FAKE_CUPTI_KIND", "3", "record of kind 3")],
)
def test_what_may_be_laid_out_differently_is_not_read(
    name: str, value: str, reason: str, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_CUPTI_KERNELS", "256 32 0 1 100 1")
    monkeypatch.setenv(name, value)
    program.tick()
    told = program.tick()
    assert told is not None
    assert reason in told.unknown["threads_per_block"]
    assert told.threads_per_block is None


def test_more_kernels_than_there_is_room_for_are_dropped(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_CUPTI_KERNELS", "256 32 0 1 100 50000")
    program.tick()
    told = program.tick()
    assert told is not None
    assert told.threads_per_block == 256
    assert len(library.Cupti()._ready) == library.BUFFERS


def test_a_window_without_kernels_says_so(program: Program) -> None:
    program.tick()
    told = program.tick()
    assert told is not None
    assert "no kernel" in told.unknown["occupancy"]


def test_a_gpu_whose_limits_are_not_known_has_block_sizes_and_no_occupancy(
    loaded: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_CUPTI_KERNELS", "256 32 0 1 100 1")
    program = Program(chip=None)
    program.tick()
    told = program.tick()
    assert told is not None
    assert (told.threads_per_block, told.occupancy) == (256, None)
    assert "occupancy" in told.unknown


def test_a_program_without_cupti_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "NAME", "libof-no-such-name.so")
    told = Program().tick()
    assert told is not None
    assert "no CUPTI" in told.unknown["occupancy"]


def test_only_who_asks_gets_it() -> None:
    torch: Any = SimpleNamespace(version=SimpleNamespace(cuda="13.0"))
    for extras, made in (frozenset(("threads",)), False), (frozenset(("cupti",)), True):
        context: Any = SimpleNamespace(extras=extras)
        assert (probes.make(torch, context) is not None) is made
    torch.version.cuda = None
    assert probes.make(torch, context) is None


@pytest.mark.parametrize("record", [struct.pack("=I", 10) + bytes(BYTES - 4), bytes(BYTES)])
def test_bytes_that_are_no_kernel_are_refused(record: bytes) -> None:
    with pytest.raises(NoKernelError):
        read_launch(record)
