"""The simulated machine: three GPUs, the last cut in two by MIG, and the programs on them.

GPU 0    inference server, graphics session
GPU 1    training job
GPU 2    MIG: a notebook that leaks; a model server that no agent looks into
"""

from random import Random
from typing import NamedTuple

from blackbox.model.parts import MigInstance
from blackbox.sources.simulated.gpu import SimulatedGpu
from blackbox.sources.simulated.inference import InferenceServer
from blackbox.sources.simulated.notebook import Notebook
from blackbox.sources.simulated.process import Identity, SimulatedProcess
from blackbox.sources.simulated.training import TrainingJob
from blackbox.sources.simulated.units import MIB

STEP_SECONDS = 0.1
NAME = "NVIDIA H100 80GB HBM3 (simulated)"
GPU_BYTES = 81_559 * MIB
GPU_DRIVER_RESERVED_BYTES = 551 * MIB
MIG_PROFILE = "3g.40gb"
MIG_BYTES = 40_448 * MIB
MIG_DRIVER_RESERVED_BYTES = 38 * MIB
UUID_GPU = "GPU-51301a7e-d000-4000-8000-{:012x}"
"""Reads "simulated", as far as hexadecimal digits can spell."""
UUID_MIG = "MIG-51301a7e-d000-4000-8000-{:012x}"
CONTAINER = "51301a7ed" + 55 * "0"
CONTEXT_BYTES = 518 * MIB
"""CUDA context and libraries of a process."""
GRAPHICS_BYTES = 213 * MIB
OPAQUE_BYTES = 6_212 * MIB
NOTEBOOK_PID_FIRST = 48_211
NOTEBOOK_PID_STRIDE = (90, 900)
"""Processes that other people start between two of the notebook's lives."""
NOTEBOOK_PID_MAX = 4_194_304
"""The kernel's limit; pids begin again at the first."""
MODEL_SERVER_BUSY_RATIO = 0.12
ROW_REMAPPED_SECONDS = 20.0
"""When the training GPU reports the only hardware fault of this machine."""

HOUR_SECONDS = 3600.0
GRAPHICS = Identity(2_317, "Xorg", "root", 0, -291 * HOUR_SECONDS, kind="graphics")
SERVER = Identity(31_877, "VLLM::EngineCor", "inference", 1_200, -53 * HOUR_SECONDS, CONTAINER)
TRAINER = Identity(40_062, "python", "alice", 1_001, -7 * HOUR_SECONDS)
AUTOGRAD_THREAD_ID = TRAINER.pid + 147
MODEL_SERVER = Identity(12_940, "tritonserver", "triton", 1_201, -119 * HOUR_SECONDS)


class SimulatedFault(NamedTuple):
    """A hardware fault, as the driver logs it."""

    at: float
    xid: int
    gpu: SimulatedGpu
    message: str


class Machine:
    """Begins at time `now`; every `step` adds `STEP_SECONDS`. The same seed always lives the same life."""

    def __init__(self, seed: int, now: float) -> None:
        self._begun = now
        self._steps = 0
        whole = [
            SimulatedGpu(UUID_GPU.format(index), index, NAME, GPU_BYTES, GPU_DRIVER_RESERVED_BYTES)
            for index in range(3)
        ]
        slices = [_mig_instance(whole[2], place) for place in range(2)]
        self.gpus = (*whole, *slices)
        self.inference = InferenceServer(SimulatedProcess(SERVER, whole[0], CONTEXT_BYTES), _rng(seed, "inference"))
        self.training = TrainingJob(
            SimulatedProcess(TRAINER, whole[1], CONTEXT_BYTES), AUTOGRAD_THREAD_ID, _rng(seed, "training")
        )
        self.notebook = Notebook(self._start_notebook, _rng(seed, "notebook"), now)
        self.opaque = (
            SimulatedProcess(GRAPHICS, whole[0], GRAPHICS_BYTES),
            SimulatedProcess(MODEL_SERVER, slices[1], OPAQUE_BYTES),
        )
        self.faults = (SimulatedFault(ROW_REMAPPED_SECONDS, 63, whole[1], "row remapped after a memory error"),)
        """All that ever happen; those later than `now` are still to come."""
        self._notebook_gpu = slices[0]
        self._notebook_pid = NOTEBOOK_PID_FIRST
        self._pids = _rng(seed, "pids")

    @property
    def now(self) -> float:
        return self._begun + self._steps * STEP_SECONDS

    def step(self) -> None:
        """Lets `STEP_SECONDS` pass."""
        self._steps += 1
        now = self.now
        self.inference.step(now, STEP_SECONDS)
        self.training.step(now, STEP_SECONDS)
        self.notebook.step(now)
        for gpu, busy_ratio in zip(self.gpus, self._loads(), strict=False):
            gpu.busy_ratio = busy_ratio
            gpu.settle(STEP_SECONDS)

    def _loads(self) -> tuple[float, float, float]:
        shared = (self.notebook.busy_ratio + MODEL_SERVER_BUSY_RATIO) / len(self.gpus[2].instances)
        return self.inference.busy_ratio, self.training.busy_ratio, shared

    def _start_notebook(self, now: float) -> SimulatedProcess:
        identity = Identity(self._notebook_pid, "python", "bob", 1_002, now)
        self._notebook_pid += self._pids.randint(*NOTEBOOK_PID_STRIDE)
        if self._notebook_pid > NOTEBOOK_PID_MAX:
            self._notebook_pid = NOTEBOOK_PID_FIRST
        return SimulatedProcess(identity, self._notebook_gpu, CONTEXT_BYTES)


def _mig_instance(parent: SimulatedGpu, place: int) -> SimulatedGpu:
    return SimulatedGpu(
        UUID_MIG.format(place),
        parent.index,
        f"{NAME} MIG {MIG_PROFILE}",
        MIG_BYTES,
        MIG_DRIVER_RESERVED_BYTES,
        parent,
        MigInstance(gpu_instance_id=place + 1, compute_instance_id=0, profile=MIG_PROFILE),
    )


def _rng(seed: int, name: str) -> Random:
    """One stream of chance per program, so that none disturbs another's."""
    return Random(f"{seed}/{name}")  # noqa: S311 - a simulation, and it must repeat
