#!/bin/sh
# PaddlePaddle's peak of memory is less than what lives, as soon as a second thread allocates.
#
# Expected: `max_memory_allocated()` is never less than `memory_allocated()` was at any time. What happens: each thread has
# counts of its own, and a new peak of all is looked for only as a thread passes its own peak. So a thread that held 100
# MiB once, and allocates 80 while another's 50 live, makes no peak: 130 MiB live, and the peak is 100. Once it has
# freed what the other made, its own count is 50 too low, and its own 130 are no peak either. With paddlepaddle 3.3.1.
#
# The counts of a GPU are of the same class (`phi/core/memory/stats.h`, of which the package has a copy); without a GPU the
# counts of the machine's memory are asked, which the same functions keep.
#
# So: such a peak is a lower bound where loaders, pipelines or a server's threads allocate beside the training; what was
# seen to live, or the driver's own figure, is what a limit is chosen by.

. "$(dirname "$0")/evidence.sh"

install paddlepaddle==3.3.1 numpy==2.4.6 setuptools==84.2.1
evidence <<'PYTHON'
import re
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from evidence import Evidence

warnings.simplefilter("ignore")

import paddle

MIB = 1 << 20
core = paddle.base.core


def count() -> tuple[float, float]:
    """What lives, and the peak, in MiB."""
    now = core.host_memory_stat_current_value("Allocated", 0)
    return now / MIB, core.host_memory_stat_peak_value("Allocated", 0) / MIB


def tensor(mib: int) -> paddle.Tensor:
    return paddle.zeros([mib * MIB // 4], dtype="float32")


evidence = Evidence()
loader = ThreadPoolExecutor(max_workers=1)
first = tensor(100)
evidence.see("100 MiB: what lives, and the peak", count(), (100.0, 100.0))
del first
loaded = loader.submit(tensor, 50).result()
evidence.see("they are freed, another thread makes 50", count(), (50.0, 100.0))
trained = tensor(80)
evidence.see("80 more of the first thread", count(), (130.0, 100.0))
del loaded, trained
tensors = tensor(50), tensor(80)
evidence.see("both freed by the first thread, and made again by it", count(), (130.0, 100.0))
header = Path(paddle.sysconfig.get_include(), "paddle/phi/core/memory/stats.h").read_text()
kinds = set(re.findall(r"DEVICE_MEMORY_STAT_DECLARE|HOST_MEMORY_STAT_DECLARE", header))
loader.shutdown()
evidence.see("both kinds of memory are counted by the same class", (len(kinds), header.count("class Stat :")), (2, 1))
evidence.close()
PYTHON
