"""A simulated inference server in vLLM's manner: weights, one KV tensor cut into pages, scratch memory per batch."""

from random import Random

from blackbox.model.parts import InferenceEngine, KvPool
from blackbox.sources.simulated.allocator import ACTIVATION, GRAPH_POOL, KV_CACHE, WEIGHT, Block
from blackbox.sources.simulated.kernels import KernelMix
from blackbox.sources.simulated.kv_cache import KvCache
from blackbox.sources.simulated.process import SimulatedProcess
from blackbox.sources.simulated.scheduler import PAGE_TOKENS, Scheduler
from blackbox.sources.simulated.units import MIB

MODEL = "Qwen/Qwen2.5-32B-Instruct"
LAYERS = 64
HIDDEN = 5120
FEED_FORWARD = 27648
KEYS_AND_VALUES = 2 * 8 * 128
VOCABULARY = 152064
ELEMENT_BYTES = 2
LAYER_WEIGHTS = (
    HIDDEN * (HIDDEN + KEYS_AND_VALUES),
    HIDDEN * HIDDEN,
    HIDDEN * 2 * FEED_FORWARD,
    HIDDEN * FEED_FORWARD,
)
PAGE_BYTES = LAYERS * KEYS_AND_VALUES * PAGE_TOKENS * ELEMENT_BYTES
PAGES = 640
GRAPH_BYTES = (96 * MIB, 64 * MIB, 48 * MIB, 40 * MIB, 24 * MIB, 12 * MIB)
"""Memory of the captured graphs, one per batch size."""
RUNNING_FULL = 16
"""Requests at once that keep the GPU busy."""
KERNELS = KernelMix(
    dram_ratio=0.82, read_ratio=0.97, occupancy_percent=38.0, threads_per_block=128, atomic_operations=41_000_000
)


class InferenceServer:
    """Loads its model when made; `step` serves."""

    kernels = KERNELS

    def __init__(self, process: SimulatedProcess, rng: Random) -> None:
        self.process = process
        self.busy_ratio = 0.0
        self._rng = rng
        self._scratch: list[Block] = []
        for elements in (VOCABULARY * HIDDEN, *LAYER_WEIGHTS * LAYERS, HIDDEN, VOCABULARY * HIDDEN):
            process.allocator.allocate(elements * ELEMENT_BYTES, WEIGHT, process.pid)
        tensor = process.allocator.allocate(PAGES * PAGE_BYTES, KV_CACHE, process.pid)
        self._cache = KvCache(tensor.address, PAGE_BYTES, PAGES)
        for size in GRAPH_BYTES:
            process.allocator.allocate(size, GRAPH_POOL, process.pid)
        self._scheduler = Scheduler(self._cache, rng)

    def step(self, now: float, seconds: float) -> None:
        """Lets `seconds` pass."""
        self.process.allocator.now = now
        self._scheduler.step(now, seconds)
        running = len(self._scheduler.running)
        for block in self._scratch:
            self.process.allocator.free(block)
        self._scratch = [
            self.process.allocator.allocate(size, ACTIVATION, self.process.pid) for size in self._scratch_sizes()
        ]
        load = min(1.0, running / RUNNING_FULL)
        self.busy_ratio = min(1.0, load**0.5 * self._rng.uniform(0.92, 1.0))
        if running:
            self.process.run(self.process.pid, now)
        else:
            self.process.rest()

    def kv_pool(self) -> KvPool:
        return self._cache.pool()

    def engine(self) -> InferenceEngine:
        """What the server tells of itself."""
        counts = self._cache.counts
        return InferenceEngine(
            kind="vllm",
            pid=self.process.pid,
            pids=(self.process.pid,),
            model=MODEL,
            kv_pages_total=counts.total,
            kv_pages_used=counts.used,
            kv_pages_cached=counts.cached,
            kv_usage_ratio=counts.usage_ratio,
            prefix_hit_ratio=self._scheduler.hit_ratio,
            requests_running=len(self._scheduler.running),
            requests_waiting=len(self._scheduler.waiting),
            preemptions_total=self._scheduler.preemptions,
        )

    def _scratch_sizes(self) -> list[int]:
        """The batch's hidden states, feed-forward inputs and logits."""
        sequences = len(self._scheduler.running)
        tokens = sequences + self._scheduler.prefilled_tokens
        if tokens == 0:
            return []
        return [
            ELEMENT_BYTES * tokens * HIDDEN,
            ELEMENT_BYTES * tokens * FEED_FORWARD,
            ELEMENT_BYTES * max(1, sequences) * VOCABULARY,
        ]
