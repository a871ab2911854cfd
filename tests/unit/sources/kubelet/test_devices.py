"""Names of devices, as plugins and drivers give them, and the GPUs that they are."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import given as drawn
from hypothesis import strategies as st

from blackbox.model.parts import Device, GivenTo, MigInstance
from blackbox.sources.kubelet.answer import GivenDevice, TooManyError, given_devices
from blackbox.sources.kubelet.devices import DeviceNames, Named, is_gpu
from blackbox.sources.kubelet.source import given_gpus
from blackbox.sources.protobuf import ProtobufError
from tests import moments
from tests.kubelet_server import Container, answer

A, B = "GPU-8f6d1b2e-0000-4c3a-9f50-aaaaaaaaaaaa", "GPU-8f6d1b2e-1111-4c3a-9f50-bbbbbbbbbbbb"
SLICE = "MIG-4a1c0f0e-2222-5b6b-9d8f-cccccccccccc"
OLD_SLICE = f"MIG-{B}/3/0"
"""As drivers before 470 call one."""
INFORMATION = """Model: \t\t NVIDIA A100-SXM4-80GB
IRQ:   \t\t 143
GPU UUID: \t {uuid}
Bus Type: \t PCIe
Device Minor: \t {minor}
GPU Excluded:\t No
"""
TO = GivenTo(namespace="ml", pod="train-0", container="main")


def instance(uuid: str, gpu_instance: int, compute_instance: int = 0) -> Device:
    mig = MigInstance(gpu_instance_id=gpu_instance, compute_instance_id=compute_instance)
    return moments.device(0, uuid=uuid, parent_uuid=B, mig=mig)


@pytest.fixture
def names(tmp_path: Path) -> DeviceNames:
    """The driver library counts A before B; by their device files it is the other way round."""
    for address, uuid, minor in (
        ("0000:07:00.0", A, 1),
        ("0000:0f:00.0", B, 0),
        ("0000:17:00.0", "GPU-????????-????-????-????-????????????", 2),
    ):
        folder = tmp_path / "driver/nvidia/gpus" / address
        folder.mkdir(parents=True)
        (folder / "information").write_text(INFORMATION.format(uuid=uuid, minor=minor))
    (tmp_path / "driver/nvidia/gpus/0000:1f:00.0").mkdir()
    devices = [instance(SLICE, 3), instance("MIG-one", 5, 0), instance("MIG-two", 5, 1)]
    return DeviceNames(lambda: devices, tmp_path)


@pytest.mark.parametrize(
    ("resource", "name", "is_claimed", "found"),
    [
        # NVIDIA's plugin: UUIDs, whatever its strategies are
        ("nvidia.com/gpu", A, False, Named(A, False)),
        ("nvidia.com/gpu", f"{A}::0", False, Named(A, True)),
        ("nvidia.com/gpu.shared", f"{B}::11", False, Named(B, True)),
        ("nvidia.com/mig-1g.10gb", SLICE, False, Named(SLICE, False)),
        ("nvidia.com/mig-1g.10gb.shared", f"{SLICE}::2", False, Named(SLICE, True)),
        ("nvidia.com/gpu", OLD_SLICE, False, Named(OLD_SLICE, False)),
        ("example.org/renamed", A, False, Named(A, False)),
        # GKE's: by the device file
        ("nvidia.com/gpu", "nvidia0", False, Named(B, False)),
        ("nvidia.com/gpu", "nvidia1/vgpu3", False, Named(A, True)),
        ("nvidia.com/gpu", "nvidia0/gi3", False, Named(SLICE, False)),
        ("nvidia.com/gpu", "nvidia0/gi3/vgpu0", False, Named(SLICE, True)),
        ("nvidia.com/gpu", "nvidia0/gi5", False, None),  # two compute instances share it
        ("nvidia.com/gpu", "nvidia1/gi3", False, None),
        ("nvidia.com/gpu", "nvidia2", False, None),  # the driver does not know its UUID yet
        ("nvidia.com/gpu", "nvidia7", False, None),
        # claims
        ("gpu.nvidia.com", "gpu-0", True, Named(B, False)),
        ("gpu.nvidia.com", "gpu-1", True, Named(A, False)),
        ("gpu.nvidia.com", "gpu-0-mig-19-2-1", True, None),
        ("gpu.example.org", "gpu-0", True, None),
        # no names of GPUs
        ("amd.com/gpu", "0000:c1:00.0", False, None),
        ("nvidia.com/gpu", "gpu-0", False, None),
        ("nvidia.com/gpu", "", False, None),
        ("rdma/hca", "mlx5_0", False, None),
    ],
)
def test_what_a_name_is(names: DeviceNames, resource: str, name: str, is_claimed: bool, found: Named | None) -> None:
    assert names.of(GivenDevice(TO, resource, name, is_claimed)) == found


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        ("nvidia.com/gpu", True),
        ("nvidia.com/gpu.shared", True),
        ("nvidia.com/mig-3g.40gb", True),
        ("amd.com/gpu", True),
        ("gpu.nvidia.com", True),
        ("compute-domain.nvidia.com", False),
        ("nvidia.com/hostdev", False),
        ("rdma/hca", False),
        ("gpu.nvidia.com.example.org", False),
    ],
)
def test_which_resources_are_gpus(resource: str, expected: bool) -> None:
    assert is_gpu(GivenDevice(TO, resource, "any")) is expected


def test_an_answer_of_a_whole_machine(names: DeviceNames) -> None:
    told = answer(
        Container("ml", "train-0", "main", {"nvidia.com/gpu": [A], "rdma/hca": ["mlx5_0"]}),
        Container("ml", "train-0", "sidecar"),
        Container("web", "chat-7d9f.x", "serve", {"nvidia.com/gpu.shared": [f"{B}::0", f"{B}::1"]}),
        Container("web", "draw", "serve", {"nvidia.com/gpu.shared": [f"{B}::2"]}, [("gpu.nvidia.com", "gpu-1")]),
    )
    found = given_gpus(told, names)
    assert found.reason is None
    assert {uuid: [(one.pod, one.container, one.shared) for one in to] for uuid, to in found.containers.items()} == {
        A: [("train-0", "main", False), ("draw", "serve", False)],
        B: [("chat-7d9f.x", "serve", True), ("draw", "serve", True)],
    }


def test_what_no_gpu_is_found_by_is_told_of_and_not_guessed(names: DeviceNames) -> None:
    devices = {"amd.com/gpu": ["0000:c1:00.0", "0000:c2:00.0"], "nvidia.com/gpu": [A]}
    found = given_gpus(answer(Container("ml", "train-0", "main", devices)), names)
    assert [*found.containers] == [A]
    assert found.reason is not None
    assert found.reason.endswith("2 of amd.com/gpu")


@pytest.mark.parametrize("name", ["", "a/b", "a,b", "A", "x" * 300, "a\x1b[2J", "a\nb", "ü"])
def test_a_pod_that_cannot_be_is_none(names: DeviceNames, name: str) -> None:
    told = answer(
        Container(name, "pod", "main", {"nvidia.com/gpu": [A]}),
        Container("ml", name, "main", {"nvidia.com/gpu": [A]}),
        Container("ml", "pod", name, {"nvidia.com/gpu": [A]}),
    )
    assert given_gpus(told, names).containers == {}


def test_more_pods_than_a_node_can_have_are_no_answer() -> None:
    with pytest.raises(TooManyError, match="5,000"):
        list(given_devices(answer(Container("ml", "pod", "main")) * 5001))


def test_more_gpus_than_a_machine_can_have_are_no_answer() -> None:
    names = [f"GPU-{number:08x}" for number in range(1001)]
    assert (
        len(
            given_gpus(
                answer(Container("ml", "pod", "main", {"nvidia.com/gpu": names[:-1]})), DeviceNames(tuple)
            ).containers
        )
        == 1000
    )
    with pytest.raises(TooManyError, match="1,000 GPUs"):
        given_gpus(answer(Container("ml", "pod", "main", {"nvidia.com/gpu": names})), DeviceNames(tuple))


ONE = answer(Container("a", "b", "c", {"d": ["e"]}))


@drawn(st.binary(max_size=200) | st.binary(max_size=40).map(lambda noise: ONE + noise))
def test_any_bytes_are_an_answer_or_a_plain_error(data: bytes) -> None:
    with contextlib.suppress(ProtobufError, TooManyError):
        list(given_devices(data))
