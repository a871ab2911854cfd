"""The simulated training job."""

from random import Random

from blackbox.sources.simulated.gpu import SimulatedGpu
from blackbox.sources.simulated.process import Identity, SimulatedProcess
from blackbox.sources.simulated.training import TrainingJob
from blackbox.sources.simulated.units import MIB

AUTOGRAD = 501


def a_job(gpu_mib: int = 80_000, seed: int = 0) -> TrainingJob:
    gpu = SimulatedGpu("GPU-0", 0, "test", gpu_mib * MIB, 0)
    return TrainingJob(SimulatedProcess(Identity(500, "python", "alice", 1000, 0.0), gpu, MIB), AUTOGRAD, Random(seed))


def test_an_iteration_shows_every_kind_of_memory_and_both_threads() -> None:
    job, uses, states, threads = a_job(), set(), set(), set()
    for step in range(100):
        job.step(step * 0.1, 0.1)
        for block in job.process.allocator.blocks():
            uses.add((block.type, block.subtype))
            states.add(block.state)
            threads.add(block.thread_id)
    assert uses == {
        ("weight", None),
        ("activation", None),
        ("other", "gradient"),
        ("other", "optimizer"),
        ("other", None),
    }
    assert states == {"active", "pending_free", "inactive"}
    assert threads == {500, AUTOGRAD, None}


def test_varying_batches_fragment_the_memory() -> None:
    job = a_job()
    stranded = []
    for step in range(200):
        job.step(step * 0.1, 0.1)
        stranded.append(job.process.allocator.inactive_split_bytes / job.process.allocator.reserved_bytes)
    assert max(stranded) > 0.02
    assert len(set(stranded)) > 50


def test_what_lives_between_iterations_does_not_grow() -> None:
    job, lowest = a_job(), []
    for begin in range(0, 1_200, 400):
        live = []
        for step in range(begin, begin + 400):
            job.step(step * 0.1, 0.1)
            live.append(job.process.allocator.allocated_bytes)
        lowest.append(min(live))
    assert lowest[1] == lowest[2]


def test_a_batch_that_does_not_fit_is_skipped_and_nothing_of_it_stays() -> None:
    job = a_job(gpu_mib=28_000)
    for step in range(2_000):
        job.step(step * 0.1, 0.1)
    assert 0 < job.batches_skipped < 200
    lowest = []
    for step in range(2_000, 2_400):
        job.step(step * 0.1, 0.1)
        lowest.append(job.process.allocator.allocated_bytes)
    whole = a_job()
    for step in range(400):
        whole.step(step * 0.1, 0.1)
    reference = []
    for step in range(400):
        whole.step(40 + step * 0.1, 0.1)
        reference.append(whole.process.allocator.allocated_bytes)
    assert min(lowest) == min(reference)
