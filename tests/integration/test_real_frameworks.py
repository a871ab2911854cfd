"""Real SGLang collectors, RMM, JAX and transformers on the CPU: what is read of them is what they hold."""

import gzip
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from blackbox.model.parts import InferenceEngine
from blackbox.sources.engines import sglang
from blackbox.sources.jax_profile.pprof import parse
from tests import frameworks_environment, vllm_environment
from tests.agent_rig import ROOT, SHIM, AgentServer, agent_environment
from tests.fake_frameworks import GPU, build_cuda
from tests.recorded_engines import Recording
from tests.waiting import PATIENCE_SECONDS

pytestmark = pytest.mark.frameworks

PROGRAMS = ROOT / "tests" / "framework_programs"
MIB = 1 << 20


def python(*names: str) -> Path:
    try:
        return frameworks_environment.python(*names)
    except frameworks_environment.NoFrameworkError as error:
        pytest.skip(str(error))


def output(interpreter: Path, program: str, *arguments: object, **variables: str) -> bytes:
    done = subprocess.run(
        [interpreter, PROGRAMS / program, *map(str, arguments)],
        capture_output=True,
        check=False,
        timeout=PATIENCE_SECONDS,
        env=os.environ | variables,
    )
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-2000:]
    return done.stdout


def sglang_engine(case: str) -> InferenceEngine:
    interpreter = python("prometheus_client", "msgspec", "sglang")
    page = output(interpreter, "sglang_page.py", frameworks_environment.packages(), case)
    found = sglang.read(Recording(metrics=page))
    assert found is not None
    (one,) = found
    return one.engine


@pytest.mark.parametrize("case", ["new", "plain", "priority"])
def test_a_page_of_sglangs_own_collectors(case: str) -> None:
    engine = sglang_engine(case)
    assert (engine.model, engine.requests_running, engine.requests_waiting) == ("qwen", 4, 2)
    assert (engine.kv_pages_total, engine.kv_pages_used, engine.kv_pages_cached) == (1000, 100, 200)
    assert engine.kv_usage_ratio == 0.1, "of full attention, not of the fullest pool"
    assert engine.preemptions_total == (0 if case == "new" else 5), "not on the page before the first"
    assert engine.prefix_hit_ratio == (None if case == "new" else 0.25)


@pytest.mark.parametrize("resources", ["tracking", "statistics"])
def test_rmm_is_told_by_what_lives(resources: str, tmp_path: Path) -> None:
    interpreter, cuda = python("rmm"), build_cuda(tmp_path)
    path = os.pathsep.join(map(str, (SHIM, ROOT / "src")))
    with AgentServer(tmp_path) as server:
        variables = agent_environment(server.socket) | {"PYTHONPATH": path, "FAKE_CUDA_CONTEXTS": "0"}
        command = [interpreter, PROGRAMS / "rmm_on_malloc.py", cuda, resources]
        with subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, text=True) as program:
            try:
                assert program.stdout is not None
                assert program.stdout.readline() == "26.10.00 -1000\n", "the block's own count"
                if resources == "tracking":
                    sample = server.wait_for(lambda sample: sample.allocators)
                    (allocator,) = sample.allocators
                    assert (allocator.source, allocator.gpu_uuid, allocator.allocated_bytes) == ("rmm", GPU, 500)
                else:
                    sample = server.wait_for(lambda sample: sample.cost.get("agents"))
                    assert sample.allocators == ()
            finally:
                program.kill()


def test_a_profile_that_jax_wrote(tmp_path: Path) -> None:
    path = tmp_path / "memory.prof"
    seen = output(python("jax"), "jax_profile.py", path, JAX_PLATFORMS="cpu").decode()
    assert seen == "dict cpu 0 None\n", "what the agent's probe looks at"
    profile = parse(gzip.decompress(path.read_bytes()))
    assert profile.sample_types == (("allocations", "count"), ("space", "bytes"))
    arrays = [sample for sample in profile.samples if sample.labels.get("kind") == "buffer"]
    assert sum(sample.values[1] for sample in arrays) == MIB
    assert {sample.labels["device"] for sample in arrays} == {"cpu:0"}
    (array,) = (sample for sample in arrays if sample.values[1] == MIB)
    lines = [line for location in array.locations for line in profile.locations[location]]
    functions = [profile.functions[line.function] for line in lines]
    assert any(one.name == "build" and one.file.endswith("jax_profile.py") for one in functions)


def test_every_tensor_of_transformers_caches_is_found() -> None:
    interpreter = vllm_environment.folder() / "bin" / "python"
    if not interpreter.exists():
        pytest.skip("no PyTorch with transformers here: './run test --vllm' installs them")
    found: dict[str, Any] = json.loads(output(interpreter, "transformers_caches.py", PYTHONPATH=str(ROOT / "src")))
    assert found["dynamic"] == [4, 4]
    for kind in ("linear", "quantized", "static", "encoder_decoder", "of_one_model"):
        assert isinstance(found[kind], str) or found[kind][0] == found[kind][1] > 0, found
