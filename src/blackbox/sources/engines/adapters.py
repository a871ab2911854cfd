"""The kinds of engines that are understood. A new one is a module, and a line here."""

from blackbox.sources.engines import llama_cpp, ollama, sglang, triton, vllm
from blackbox.sources.engines.adapter import Adapter

ADAPTERS: tuple[Adapter, ...] = (ollama.ADAPTER, llama_cpp.ADAPTER, vllm.ADAPTER, sglang.ADAPTER, triton.ADAPTER)
"""In the order in which an unknown server is asked: cheap questions first."""
METRIC_NAMES = frozenset(name for adapter in ADAPTERS for name in adapter.names)
NAMESPACES = frozenset(adapter.namespace for adapter in ADAPTERS if adapter.namespace)
