"""The source that lets the simulated machine live as fast as the clock."""

import time
from collections.abc import Callable, Iterator

from msgspec import structs

from blackbox.model.event import Event, OutOfMemory
from blackbox.model.facts import DRIVER_VERSION, NVML_VERSION, PID_SCOPE
from blackbox.model.parts import Allocator, AllocatorBlock, KernelCounters, gpu_name
from blackbox.model.sample import Sample
from blackbox.model.text import size, who
from blackbox.sources.base import SourceContext
from blackbox.sources.simulated.kernels import counters
from blackbox.sources.simulated.machine import STEP_SECONDS, Machine
from blackbox.sources.simulated.notebook import STACKS, SimulatedFailure
from blackbox.sources.simulated.process import SimulatedProcess

WARM_UP_SECONDS = 40.0
"""Life before the first sample, so that it shows caches in use and a fragmented heap."""
CATCH_UP_SECONDS_MAX = 60.0
"""After a longer pause (a suspended machine) the rest of it never happened."""
STATED = dict((DRIVER_VERSION.stated("simulated"), NVML_VERSION.stated("simulated"), PID_SCOPE.stated("simulated")))


class SimulatedSource:
    """A machine that exists only here. What it shows depends on the seed and the time since the first sample alone."""

    name = "simulated"

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        seed: int = 0,
    ) -> None:
        self._clock = clock
        self._wall_clock = wall_clock
        self._seed = seed
        self._machine: Machine | None = None
        self._begun = 0.0
        """The clock's time at the machine's second 0."""
        self._started_unix = 0.0
        """The wall time of the same instant."""
        self._told = 0.0
        """The machine's time at the last sample."""

    def sample(self) -> Sample:
        """The machine as it is now."""
        taken_at = self._clock()
        machine = self._machine or self._begin(taken_at)
        self._catch_up(machine, taken_at)
        processes = list(_processes(machine))
        events = tuple(self._events(machine))
        self._told = machine.now
        return Sample(
            source=self.name,
            taken_at=taken_at,
            simulated=True,
            devices=tuple(gpu.device(taken_at) for gpu in machine.gpus),
            processes=tuple(process.row(self._started_unix, machine.now) for process in processes),
            processes_taken_at=taken_at,
            allocators=tuple(self._allocators(machine, taken_at)),
            kernels=tuple(_kernels(machine)),
            engines=(structs.replace(machine.inference.engine(), taken_at=taken_at),),
            events=events,
            facts=STATED,
        )

    def close(self) -> None:
        """Holds nothing: the machine lives on, and the next sample shows it."""

    def _begin(self, now: float) -> Machine:
        self._begun = now
        self._started_unix = self._wall_clock()
        self._machine = Machine(self._seed, -WARM_UP_SECONDS)
        while self._machine.now < 0:
            self._machine.step()
        return self._machine

    def _catch_up(self, machine: Machine, now: float) -> None:
        behind = now - self._begun - machine.now
        if behind > CATCH_UP_SECONDS_MAX:
            self._begun += behind - CATCH_UP_SECONDS_MAX
        while machine.now + STEP_SECONDS <= now - self._begun:
            machine.step()

    def _allocators(self, machine: Machine, taken_at: float) -> Iterator[Allocator]:
        now = machine.now
        yield machine.inference.process.report(self._started_unix, taken_at, now, (machine.inference.kv_pool(),))
        yield machine.training.process.report(self._started_unix, taken_at, now)
        if machine.notebook.process is not None:
            yield machine.notebook.process.report(self._started_unix, taken_at, now)

    def _events(self, machine: Machine) -> Iterator[Event]:
        for fault in machine.faults:
            if self._told < fault.at <= machine.now:
                yield Event(
                    kind="xid",
                    timestamp=self._started_unix + fault.at,
                    message=f"{gpu_name(fault.gpu.index, None)}: Xid {fault.xid}: {fault.message}",
                    gpu_uuid=fault.gpu.uuid,
                    code=fault.xid,
                )
        failure = machine.notebook.failure
        if failure is not None and self._told < failure.at <= machine.now:
            yield self._out_of_memory(failure)

    def _out_of_memory(self, failure: SimulatedFailure) -> Event:
        allocator, born_unix = failure.allocator, failure.allocator.start_time or 0.0
        return Event(
            kind="oom",
            timestamp=self._started_unix + failure.at,
            message=f"{who(failure.name, allocator.pid)} was refused {size(failure.requested_bytes)}, "
            f"{size(failure.device_free_bytes)} free",
            gpu_uuid=allocator.gpu_uuid,
            pid=allocator.pid,
            oom=OutOfMemory(
                source=self.name,
                requested_bytes=failure.requested_bytes,
                thread_id=allocator.pid,
                device_total_bytes=failure.device_total_bytes,
                device_free_bytes=failure.device_free_bytes,
                allocator=structs.replace(
                    allocator,
                    start_time=self._started_unix + born_unix,
                    taken_at=self._begun + failure.at,
                    blocks=tuple(map(self._dated, allocator.blocks or ())),
                ),
                trace=tuple(
                    structs.replace(step, time_us=int(self._started_unix * 1e6) + (step.time_us or 0))
                    for step in failure.trace
                ),
                stacks=STACKS,
            ),
        )

    def _dated(self, block: AllocatorBlock) -> AllocatorBlock:
        """The block with the wall time of its allocation instead of the machine's."""
        if block.allocated_at is None:
            return block
        return structs.replace(block, allocated_at=self._started_unix + block.allocated_at)


def make(context: SourceContext) -> SimulatedSource:  # noqa: ARG001 - a simulation has no settings
    """The source, beginning now."""
    return SimulatedSource()


def _processes(machine: Machine) -> Iterator[SimulatedProcess]:
    yield machine.inference.process
    yield machine.training.process
    if machine.notebook.process is not None:
        yield machine.notebook.process
    yield from machine.opaque


def _kernels(machine: Machine) -> Iterator[KernelCounters]:
    """Profilers work neither in MIG instances nor on graphics: those processes have no counters."""
    inference, training = machine.inference, machine.training
    yield counters(inference.process.pid, "process", inference.kernels, inference.busy_ratio)
    yield counters(training.process.pid, "device", training.kernels, training.busy_ratio)
