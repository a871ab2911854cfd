"""The table of probes. A new one is a module with `make` (see `blackbox.agent.probe`), and one line here.

Read when a program starts, so nothing is imported here.
"""

PROBES: tuple[tuple[str, str], ...] = (
    ("torch", "blackbox.agent.probes.torch"),
    ("torch", "blackbox.agent.probes.cupti"),
    ("transformers.cache_utils", "blackbox.agent.probes.torch"),
    ("transformers.generation.continuous_batching.cache", "blackbox.agent.probes.torch"),
    ("transformers.models.*.modeling_", "blackbox.agent.probes.torch"),
    ("jax", "blackbox.agent.probes.jax"),
    ("cupy", "blackbox.agent.probes.cupy"),
    ("rmm", "blackbox.agent.probes.rmm"),
    ("vllm.v1.core.sched.scheduler", "blackbox.agent.probes.vllm"),
    ("vllm.v1.worker.worker_base", "blackbox.agent.probes.vllm"),
    ("vllm.worker.worker_base", "blackbox.agent.probes.vllm"),  # where that was before
)
"""(module whose import starts the probe, module of the probe). `a.*.b_`: any module
whose name begins with `a.` and has `.b_` in it."""
