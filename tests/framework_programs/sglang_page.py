"""A page of SGLang's own collectors, as its scheduler and its tokenizer fill them: sglang_page.py PACKAGES CASE

The two collectors are real. Of what they import only that is real which needs no GPU: the rest of SGLang would bring
PyTorch and a driver, and gives the collectors settings alone.
"""

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import os
import sys
import tempfile
from pathlib import Path
from types import ModuleType

REAL = {
    "sglang.srt.observability.metrics_collector",
    "sglang.srt.observability.scheduler_stage_metrics",
    "sglang.srt.observability.utils",
    "sglang.srt.utils.gauge_histogram",
}
PACKAGES = {"sglang", "sglang.srt", "sglang.srt.observability", "sglang.srt.utils"}
LABELS = {"model_name": "qwen", "engine_type": "unified", "tp_rank": 0, "pp_rank": 0, "moe_ep_rank": 0}
REQUEST_LABELS = {"model_name": "qwen", "engine_type": "unified"}


class Unset:
    """Settings of which none is made, but for the one that is counted with."""

    def __getattr__(self, name):
        return 30 if name == "prefill_delayer_max_delay_passes" else None


UNSET = Unset()


class Loader(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the real modules by their files, and an empty one for every other of SGLang."""

    def __init__(self, root):
        self._root = root

    def find_spec(self, name, path=None, target=None):
        if name in REAL:
            return importlib.util.spec_from_file_location(name, self._root / (name.replace(".", "/") + ".py"))
        if name.partition(".")[0] == "sglang":
            return importlib.machinery.ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec):
        return Stub(spec.name)

    def exec_module(self, module):
        pass


class Stub(ModuleType):
    """What is asked of it is not set: a setting is None, whatever it is asked for."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *_, **__: UNSET if name.startswith("get_") else False


def main():
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp()  # as SGLang does
    sys.meta_path.insert(0, Loader(Path(sys.argv[1])))
    real = importlib.import_module("sglang.srt.observability.metrics_collector")  # a stub has every attribute

    with_priority = sys.argv[2] == "priority"
    labels = LABELS | ({"priority": ""} if with_priority else {})
    scheduler = real.SchedulerMetricsCollector(labels=labels, server_args=UNSET)
    scheduler.num_pages.labels(**labels).set(1000)
    scheduler.page_size.labels(**labels).set(16)
    scheduler.max_total_num_tokens.labels(**labels).set(16000)
    by_priority = {0: 3, 10: 1} if with_priority else None
    stats = real.SchedulerStats(
        num_running_reqs=real.QueueCount(4, by_priority),
        num_queue_reqs=real.QueueCount(2, {0: 2} if with_priority else None),
        token_usage=0.9,
        full_token_usage=0.1,
        mamba_usage=0.9,
        kv_used_tokens=1600,
        kv_evictable_tokens=3200,
    )
    scheduler.log_stats(stats)
    requests = REQUEST_LABELS | ({"priority": ""} if with_priority else {})
    tokenizer = real.TokenizerMetricsCollector(server_args=UNSET, labels=requests)
    if sys.argv[2] != "new":
        scheduler.num_retracted_reqs_total.labels(**labels).inc(5)
        for priority, tokens in ((0, 600), (10, 400)):
            of = requests | ({"priority": str(priority)} if with_priority else {})
            tokenizer.prompt_tokens_total.labels(**of, is_streaming="false").inc(tokens)
            tokenizer.cached_tokens_total.labels(**of, cache_source="device").inc(tokens / 4)

    from prometheus_client import CollectorRegistry, generate_latest
    from prometheus_client.multiprocess import MultiProcessCollector

    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    sys.stdout.buffer.write(generate_latest(registry))


if __name__ == "__main__":
    main()
