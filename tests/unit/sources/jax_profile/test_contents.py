"""What a device memory profile tells."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blackbox.sources.jax_profile.contents import ProfileContents, contents
from blackbox.sources.jax_profile.pprof import PprofError, parse
from tests.jax_profiles import MIB, Held, buffer, executable, profile

BUILD, STEP = ("build", "/app/train.py", 10), ("step", "/app/train.py", 40)


def read(*held: Held) -> ProfileContents:
    return contents(parse(profile(*held)))


def test_arrays_are_told_by_gpu_and_by_stack() -> None:
    found = read(
        buffer(3 * MIB, "gpu:0", BUILD, STEP, count=2),
        buffer(1 * MIB, "gpu:0", STEP),
        buffer(2 * MIB, "gpu:0", STEP),
        buffer(5 * MIB, "gpu:1", BUILD),
    )
    first, second = found.sample.allocators or ()
    assert (first.gpu_uuid, first.allocated_bytes, second.gpu_uuid, second.allocated_bytes) == (
        "device-0",
        6 * MIB,
        "device-1",
        5 * MIB,
    )
    assert [(stack.frames, stack.allocated_bytes, stack.blocks) for stack in first.stacks or ()] == [
        (("/app/train.py:10 build", "/app/train.py:40 step"), 3 * MIB, 2),
        (("/app/train.py:40 step",), 3 * MIB, 2),
    ]
    assert first.blocks is None
    assert {"blocks", "reserved_bytes"} <= first.unknown.keys()


def test_compiled_programs_are_other_memory_of_the_one_gpu_and_of_no_gpu_where_there_are_several() -> None:
    one = read(buffer(4 * MIB, "gpu:0", BUILD), executable(MIB, STEP))
    (process,) = one.sample.processes or ()
    assert (process.used_bytes, one.executable_bytes) == (5 * MIB, MIB)
    assert (one.sample.allocators or ())[0].allocated_bytes == 4 * MIB
    two = read(buffer(4 * MIB, "gpu:0", BUILD), buffer(4 * MIB, "gpu:1", BUILD), executable(MIB, STEP))
    assert [process.used_bytes for process in two.sample.processes or ()] == [4 * MIB, 4 * MIB]
    assert two.executable_bytes == MIB


def test_arrays_on_the_cpu_are_left_out() -> None:
    found = read(buffer(4 * MIB, "gpu:0", BUILD), buffer(MIB, "cpu:0", BUILD))
    assert ((found.sample.allocators or ())[0].allocated_bytes, found.host_bytes) == (4 * MIB, MIB)


def test_a_device_with_a_strange_name_costs_itself_alone() -> None:
    found = read(buffer(4 * MIB, "cuda:0", BUILD), buffer(MIB, "TPU_0(process=0,(0,0,0,0))", BUILD))
    assert ((found.sample.allocators or ())[0].allocated_bytes, found.other_bytes) == (4 * MIB, MIB)


def test_devices_of_a_cluster_have_large_numbers() -> None:
    found = read(buffer(4 * MIB, "cuda:131073", BUILD), buffer(MIB, "cpu:2097152", BUILD))
    assert [device.index for device in found.sample.devices] == [131073]
    assert found.host_bytes == MIB


def test_what_is_said_of_the_bytes_does_not_call_them_a_lower_bound() -> None:
    """Arrays in the machine's memory bear the label of the GPU, too."""
    found = read(buffer(4 * MIB, "cuda:0", BUILD))
    (device,), (process,), (allocator,) = (
        found.sample.devices,
        found.sample.processes or (),
        found.sample.allocators or (),
    )
    for said in (device.unknown["used_bytes"], process.unknown["used_bytes"], allocator.unknown["reserved_bytes"]):
        assert "pinned_host" in said
        assert "at least" not in said


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1 << 40), st.sampled_from([BUILD, STEP])), min_size=1))
def test_no_byte_is_lost_or_counted_twice(sizes: list[tuple[int, int, tuple[str, str, int]]]) -> None:
    found = read(*(buffer(size, f"gpu:{device}", frame) for device, size, frame in sizes))
    for one in found.sample.allocators or ():
        wanted = sum(size for device, size, _ in sizes if one.gpu_uuid == f"device-{device}")
        assert one.allocated_bytes == one.reserved_bytes == wanted
        assert sum(stack.allocated_bytes for stack in one.stacks or ()) == wanted


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (profile(buffer(MIB, "cpu:0", BUILD)), "no array on a GPU, and 1048576 bytes on the CPU"),
        (profile(), "no array on a GPU"),
        (profile(buffer(MIB, "a GPU", BUILD)), "the device 'a GPU'"),
        (profile(buffer(-1, "gpu:0", BUILD)), "a size of -1 bytes"),
        (profile(Held(1, MIB, {}, [BUILD])), "names neither device nor executable"),
        (profile(types=[("samples", "count"), ("cpu", "nanoseconds")]), "tells no bytes"),
    ],
)
def test_a_profile_of_something_else_is_refused_with_what_it_is(data: bytes, reason: str) -> None:
    with pytest.raises(PprofError, match=reason):
        contents(parse(data))
