"""The processes on a GPU, kept while nobody tells another list of them."""

from msgspec import structs

from blackbox.model.sample import Sample
from blackbox.sampling.gpu_pids import GpuPids
from tests.moments import process, sample


def test_they_are_those_of_all_samples_that_proc_shows() -> None:
    samples = [sample([], [process(7), process(8, start_time=None)]), sample([], [process(9)]), sample([])]
    assert GpuPids(lambda: samples)() == {7, 9}


def test_the_same_lists_are_the_same_object_and_another_one_is_not() -> None:
    samples: list[Sample] = [sample([], [process(7)])]
    pids = GpuPids(lambda: samples)
    first = pids()
    samples[0] = structs.replace(samples[0], taken_at=5.0)
    assert pids() is first
    samples[0] = structs.replace(samples[0], processes=(process(8),))
    assert pids() == {8}
    samples.clear()
    assert pids() == set()
