#!/bin/sh
# LMDeploy's `gpu_cache_usage_perc` no longer counts what the prefix cache keeps, under the name it had.
#
# Expected: a gauge on a page of metrics means after an update what it meant before, and 1 - usage is the share of pages
# that are free. What happens: the PyTorch engine counted all pages that are not free; since 0.18 it counts those of
# requests alone. A server with a prefix cache that has just ended its request stands at 0.75 with 0.17.0 and at 0 with
# 0.18.0, with two of eight pages free in both. A request that is stopped and keeps its pages leaves the sum as well.
# With lmdeploy 0.17.0 and 0.18.0, whose default `LMDEPLOY_ENABLE_REQUEST_CACHE_USAGE_METRIC=0` takes back.
#
# Its scheduler runs here, without a model and without a GPU; the packages above it, which want both, are not loaded.
#
# So: the gauge of an LMDeploy is read with its version in hand; 0 does not say that pages are free, nor that the cache is
# cold, and an alarm on a full cache is set anew.

. "$(dirname "$0")/evidence.sh"

cat >"$folder/course.py" <<'PROGRAM'
import sys
import types
from importlib.util import find_spec
from pathlib import Path

lmdeploy = Path(find_spec("lmdeploy").origin).parent
for name in ("lmdeploy", "lmdeploy.vl", "lmdeploy.pytorch", "lmdeploy.pytorch.engine"):
    package = sys.modules[name] = types.ModuleType(name)
    package.__path__ = [str(lmdeploy.parent / name.replace(".", "/"))]
model_agent = sys.modules["lmdeploy.pytorch.engine.model_agent"] = types.ModuleType("model_agent")
model_agent.BatchedOutputs = object

import torch
from lmdeploy.pytorch.config import CacheConfig, SchedulerConfig
from lmdeploy.pytorch.messages import SequenceMeta
from lmdeploy.pytorch.paging.scheduler import Scheduler
from lmdeploy.pytorch.strategies.ar.sequence import ARSequenceStrategy

PAGE_TOKENS = 16


def course(prefix_cache: bool) -> dict[str, tuple[float, int]]:
    """One request of six pages: the usage that goes to the gauge, and how many of eight pages are free."""
    pages = {"num_gpu_blocks": 8, "num_cpu_blocks": 0, "block_size": PAGE_TOKENS, "max_batches": 1}
    scheduler = Scheduler(
        SchedulerConfig(max_batches=1, max_session_len=1024),
        CacheConfig(**pages, enable_prefix_caching=prefix_cache),
        SequenceMeta(PAGE_TOKENS, strategy=ARSequenceStrategy()),
    )

    def now() -> tuple[float, int]:
        return scheduler.schedule_metrics.cache_usage, scheduler.block_manager.get_num_free_gpu_blocks()

    scheduler.add_session(0).add_sequence(torch.arange(6 * PAGE_TOKENS))
    scheduler.schedule(is_prefill=True)
    seen = {"running": now()}
    scheduler.stop_session(0)
    seen["stopped"] = now()
    scheduler.end_session(0)
    return seen | {"ended": now()}


print({"without": course(False), "with": course(True)})
PROGRAM

course() { "$folder/venv/bin/python" -W ignore "$folder/course.py"; }

install torch==2.13.0 transformers==5.24.0 numpy==2.4.6 psutil==7.2.2
install --no-deps lmdeploy==0.17.0
FORMER=$(course)
install --no-deps lmdeploy==0.18.0
TODAY=$(course)
TAKEN_BACK=$(LMDEPLOY_ENABLE_REQUEST_CACHE_USAGE_METRIC=0 course)
export FORMER TODAY TAKEN_BACK
evidence <<'PYTHON'
import os
from ast import literal_eval

from evidence import Evidence

HELD, LEFT_OUT, FREE = (0.75, 2), (0.0, 2), (0.0, 8)
former, today, taken_back = (literal_eval(os.environ[name]) for name in ("FORMER", "TODAY", "TAKEN_BACK"))

evidence = Evidence()
evidence.see("0.17.0, prefix cache", former["with"], {"running": HELD, "stopped": HELD, "ended": HELD})
evidence.see("0.18.0, prefix cache", today["with"], {"running": HELD, "stopped": LEFT_OUT, "ended": LEFT_OUT})
evidence.see("0.17.0, no prefix cache", former["without"], {"running": HELD, "stopped": HELD, "ended": FREE})
evidence.see("0.18.0, no prefix cache", today["without"], {"running": HELD, "stopped": LEFT_OUT, "ended": FREE})
evidence.see("0.18.0 with the variable at 0 does as 0.17.0", taken_back == former, True)
evidence.close()
PYTHON
