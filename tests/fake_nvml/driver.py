"""The controller of the fake driver: sets the machine live, injects faults, reads back what was called."""

import mmap
import struct
from fnmatch import fnmatchcase
from itertools import count
from pathlib import Path
from typing import Self

from msgspec import structs

from tests.fake_nvml.machine import Fault, Gpu, Machine, QueuedEvent, lines, populated

STATE_VARIABLE = "FAKE_NVML_STATE"
FIRST_PID = 10_000
"""Of the processes that `populate` lists; they need not exist."""
EVENTS_KEPT = 64
"""A driver's event queue is short, and the whole state is written at each change."""
HANG_SECONDS = 600.0
"""Longer than any deadline under test; it ends when the fault is healed."""
XID = 0x8
GPU_IS_LOST = 15

# The layout of `struct shared` in machine.h.
_GENERATION = struct.Struct("=Q")
_USER = struct.Struct("=ii")
_FUNCTION = struct.Struct("=56sQ")
_USERS_AT = _GENERATION.size + 8 * 1024
_FUNCTIONS_AT = _USERS_AT + 256 * _USER.size
_SHARED_SIZE = _FUNCTIONS_AT + 128 * _FUNCTION.size


class FakeDriver:
    """Owns one state file. Change `machine`, then `write()`; all other methods write by themselves.

    Every process (this one too) whose environment has `FAKE_NVML_STATE` set to `state_path` and that loads the fake
    library sees the change at its next call.
    """

    def __init__(self, directory: Path) -> None:
        self.machine = Machine()
        self.state_path = directory / "machine.state"
        self._fault_ids = count(1)
        self._event_sequence = count(1)
        self._generations = count(1)
        self._baseline: dict[str, int] = {}
        with Path(f"{self.state_path}.shared").open("w+b") as file:
            file.truncate(_SHARED_SIZE)
            self._shared = mmap.mmap(file.fileno(), _SHARED_SIZE)
        self.write()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends every hang (a thread asleep in the driver would outlive the test) and lets go of the files."""
        self.heal()
        self._shared.close()

    def environment(self, library: Path) -> dict[str, str]:
        """What a child process needs beside its own environment to find this driver."""
        return {
            STATE_VARIABLE: str(self.state_path),
            "LD_LIBRARY_PATH": str(library.parent),
            "BLACKBOX_VENDOR": "nvidia",  # whatever this machine has
        }

    # ---- the machine ----

    def write(self) -> None:
        """Makes `machine` what the driver answers from now on."""
        self.feed("".join(lines(self.machine)))

    def feed(self, state: str) -> None:
        """Makes the text of a state file what the driver answers; `machine` does not know of it."""
        beside = self.state_path.with_suffix(".new")
        beside.write_text(state)
        beside.replace(self.state_path)
        _GENERATION.pack_into(self._shared, 0, next(self._generations))

    def set_gpus(self, gpus: list[Gpu]) -> None:
        """Replaces all GPUs: the order is the index order."""
        self.machine.gpus = gpus
        self.write()

    def populate(self, gpus: int, processes: int = 0) -> list[Gpu]:
        """`gpus` alike GPUs with `processes` each, half a GiB apiece."""
        self.set_gpus(populated(gpus, [FIRST_PID + number for number in range(gpus * processes)]))
        return self.machine.gpus

    # ---- faults ----

    def fail(self, function: str, code: int, *, device: str | None = None, skip: int = 0, times: int = 0) -> Fault:
        """`function` (a shell pattern such as `nvmlDeviceGet*RunningProcesses*`) returns `code`.

        `device` limits it to one UUID. The first `skip` matching calls, over all processes, go well, and after `times`
        more the fault is over; 0 means never.
        """
        return self._add(Fault(function=function, code=code, device=device, skip=skip, times=times))

    def hang(
        self,
        function: str,
        seconds: float = HANG_SECONDS,
        *,
        device: str | None = None,
        skip: int = 0,
        times: int = 0,
    ) -> Fault:
        """`function` sleeps before it answers; no signal wakes it, only healing the fault does (or SIGKILL)."""
        return self._add(Fault(function=function, sleep_seconds=seconds, device=device, skip=skip, times=times))

    def crash(self, function: str, *, device: str | None = None, skip: int = 0, times: int = 0) -> Fault:
        """`function` takes its caller down with SIGSEGV. `skip=4, times=1`: only the fifth call does."""
        return self._add(Fault(function=function, crash=True, device=device, skip=skip, times=times))

    def lose(self, device: str) -> Fault:
        """The GPU fell off the bus: every call on it says so."""
        return self.fail("nvmlDevice*", GPU_IS_LOST, device=device)

    def heal(self, *faults: Fault) -> None:
        """Takes back these faults; without any named, all."""
        self.machine.faults = [fault for fault in self.machine.faults if faults and fault not in faults]
        self.write()

    def _add(self, fault: Fault) -> Fault:
        fault = structs.replace(fault, fault_id=next(self._fault_ids))
        self.machine.faults.append(fault)
        self.write()
        return fault

    # ---- events ----

    def raise_xid(self, device: str, xid: int) -> None:
        """Delivers an Xid to every event set that registered for `device` before."""
        self.raise_event(device, XID, xid)

    def raise_event(self, device: str, event_type: int, data: int) -> None:
        """Delivers an event of any type (one bit of NVML's event mask)."""
        event = QueuedEvent(sequence=next(self._event_sequence), uuid=device, data=data, event_type=event_type)
        self.machine.events = [*self.machine.events, event][-EVENTS_KEPT:]
        self.write()

    # ---- what was called ----

    def calls(self, pattern: str = "*") -> int:
        """Calls since `reset_calls` to functions matching the pattern, over all processes, failed ones included."""
        return sum(calls for name, calls in self.call_counts().items() if fnmatchcase(name, pattern))

    def call_counts(self) -> dict[str, int]:
        """Calls since `reset_calls` by function; functions never called are left out."""
        since = ((name, calls - self._baseline.get(name, 0)) for name, calls in self._totals().items())
        return {name: calls for name, calls in since if calls}

    def reset_calls(self) -> None:
        """Counts from zero."""
        self._baseline = self._totals()

    def open_handles(self) -> int:
        """How often living processes have initialised the library without shutting it down."""
        return sum(self.users().values())

    def users(self) -> dict[int, int]:
        """Living processes with the library open -> how often they initialised it."""
        table = _USER.iter_unpack(self._shared[_USERS_AT:_FUNCTIONS_AT])
        return {pid: inits for pid, inits in table if inits > 0 and _is_alive(pid)}

    def _totals(self) -> dict[str, int]:
        table = _FUNCTION.iter_unpack(self._shared[_FUNCTIONS_AT:_SHARED_SIZE])
        return {name.rstrip(b"\0").decode(): calls for name, calls in table if calls}


def _is_alive(pid: int) -> bool:
    """A zombie is not: the kernel closed its driver handles."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
