"""AMD's GPUs all the way: a tree of the kernel's files, the source in its own process, the server, the answer."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from blackbox.sources.isolation.supervisor import SupervisedSource
from tests.contract.assertions import assert_honours_the_contract
from tests.fake_amd import GIB, ROOT_VARIABLE, FakeAmd, FakeGpu
from tests.integration.supervision import ROOT, sample_again
from tests.serving import Serving
from tests.waiting import PATIENCE_SECONDS, until

ID = "1bd7a2c4f1e0a55c"


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeAmd:
    monkeypatch.setenv(ROOT_VARIABLE, str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    machine = FakeAmd(tmp_path)
    machine.add_gpu(FakeGpu("0000:03:00.0", ID, used_bytes=9 * GIB, kfd_numbers=(51,)))
    machine.add_gpu(FakeGpu("0000:c3:00.0", None, used_bytes=0, kfd_numbers=(52,)))
    machine.add_process(4711, "vllm")
    machine.hold_by_kfd(4711, gpu_51=8 * GIB)
    return machine


@pytest.fixture
def supervised(fake: FakeAmd) -> Iterator[SupervisedSource]:
    source = SupervisedSource("amd", "tests.fake_amd:make")
    yield source
    source.close()


def test_the_answer_names_gpus_processes_and_what_is_unknown(supervised: SupervisedSource) -> None:
    with Serving() as serving:
        serving.publish(sample_again(supervised))
        answer = requests.get(f"{serving.url}/vram", timeout=PATIENCE_SECONDS).json()
        by_uuid = requests.get(f"{serving.url}/vram?gpu=GPU-{ID}", timeout=PATIENCE_SECONDS).json()
    assert_honours_the_contract(answer)
    assert (answer["total_bytes"], answer["used_bytes"]) == (2 * 192 * GIB, 9 * GIB)
    (process,) = answer["processes"]
    assert (process["pid"], process["name"], process["used_bytes"]) == (4711, "vllm", 8 * GIB)
    assert answer["unattributed_bytes"] == GIB
    assert [gpu["memory_source"] for gpu in answer["gpus"]] == ["amdgpu", "amdgpu"]
    assert by_uuid["total_bytes"] == 192 * GIB


@pytest.mark.slow
def test_a_gpu_whose_file_hangs_costs_itself_alone(fake: FakeAmd, supervised: SupervisedSource) -> None:
    assert [device.state for device in sample_again(supervised).devices] == ["ok", "ok"]
    used = fake.root / "sys/bus/pci/drivers/amdgpu/0000:c3:00.0/mem_info_vram_used"
    used.unlink()
    os.mkfifo(used)  # whoever opens it to read waits for a writer
    sick = sample_again(supervised)
    assert [device.state for device in sick.devices] == ["ok", "failed"]
    assert "mem_info_vram_used on GPU 1" in str(sick.devices[1].reason)
    used.unlink()
    used.write_text("0\n")
    until(lambda: sample_again(supervised).devices[1].state == "ok", "the GPU comes back")
