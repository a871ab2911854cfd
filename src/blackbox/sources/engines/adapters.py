"""The kinds of engines that are understood. A new one is a module, and a line here."""

from blackbox.sources.engines import llama_cpp, lmdeploy, ollama, sglang, tensorrt_llm, tgi, triton, vllm
from blackbox.sources.engines.adapter import Adapter

ADAPTERS: tuple[Adapter, ...] = (
    ollama.ADAPTER,
    tensorrt_llm.ADAPTER,
    llama_cpp.ADAPTER,
    vllm.ADAPTER,
    sglang.ADAPTER,
    lmdeploy.ADAPTER,
    tgi.ADAPTER,
    triton.ADAPTER,
)
"""In the order in which an unknown server is asked: questions that change nothing come first."""
METRIC_NAMES = frozenset(name for adapter in ADAPTERS for name in adapter.names)
NAMESPACES = frozenset(adapter.namespace for adapter in ADAPTERS if adapter.namespace)
