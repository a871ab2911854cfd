"""Programs that use vLLM, with the agent in them: an engine and its worker, in two processes and in one."""

import os
from pathlib import Path

import pytest

from blackbox.model.parts import Allocator
from blackbox.model.sample import Sample
from tests.agent_rig import ROOT, SHIM, AgentServer, agent_environment

GPU = "GPU-00000000-1111-2222-3333-444444444444"
FAKE_VLLM = ROOT / "tests" / "fake_vllm"
PAGES, PAGE = 8, 16384
PROGRAM = """
import multiprocessing, sys, time
import vllm.config
from vllm.v1.core.sched.scheduler import AsyncScheduler
from vllm.v1.kv_cache_interface import KVCacheConfig, KVCacheTensor
from vllm.v1.worker.worker_base import Tensor, WorkerWrapperBase

def work():
    global worker
    size = 8 * 2 * 16384
    worker = WorkerWrapperBase(vllm.config.make())
    cache = KVCacheConfig(8, [KVCacheTensor(size, ["a", "b"], 8 * 16384, 16384)])
    worker.initialize_from_config(cache, [Tensor((0x7F0000000000, size), (8, 8192), (8192, 1))])
    if parent := multiprocessing.parent_process():
        parent.join()

if __name__ == "__main__":
    method = sys.argv[1]
    if method == "uni":
        work()
    else:
        context = multiprocessing.get_context(method)
        context.Process(target=work, daemon=True).start()
    engine = AsyncScheduler(vllm.config.make(), 8)
    pool = engine.kv_cache_manager.block_pool
    pool.cache_full_blocks(pool.get_new_blocks(3))
    pool.free_blocks(pool.blocks[1:2])
    time.sleep(30)
"""


def with_pages(sample: Sample) -> Allocator | None:
    return next((one for one in sample.allocators if one.kv_pools), None)


@pytest.mark.parametrize("method", ["uni", "fork", "spawn", "forkserver"])
def test_an_engine_and_its_worker_are_joined(method: str, tmp_path: Path) -> None:
    script = tmp_path / "program.py"
    script.write_text(PROGRAM)
    path = os.pathsep.join(map(str, (SHIM, FAKE_VLLM, ROOT / "src")))
    variables = agent_environment(tmp_path) | {"PYTHONPATH": path, "BLACKBOX_AGENT_CPU_AS": GPU}
    with AgentServer(tmp_path) as server:
        variables["BLACKBOX_AGENT_SOCKET"] = str(server.socket)
        with server.program([str(script), method], **variables) as program:
            sample = server.wait_for(lambda sample: with_pages(sample) and sample.engines)
            allocator = with_pages(sample)
            assert allocator is not None
            assert (allocator.pid == program.pid) == (method == "uni")
            (pool,), (engine,) = allocator.kv_pools, sample.engines
            assert sum(page.size for page in pool.pages) == 2 * PAGES * PAGE == allocator.reserved_bytes
            assert sorted({page.page_id for page in pool.pages if page.in_use}) == [2, 3]
            assert sorted({page.page_id for page in pool.pages if page.cached and not page.in_use}) == [1]
            assert (engine.pid, engine.kv_pages_used, engine.kv_pages_cached) == (program.pid, 2, 1)
