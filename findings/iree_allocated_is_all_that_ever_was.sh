#!/bin/sh
# IREE's `device_bytes_allocated` is no memory that lives: it is all that was ever allocated.
#
# Expected: beside `device_bytes_peak`, `device_bytes_allocated` is what is allocated now, as it is in PyTorch, JAX and
# CuPy, and never above the peak. What happens: it only grows. After ten arrays of 1 MiB, one at a time, it is 10 MiB, the
# peak is 1 MiB, and nothing lives. What lives is in no key: it is the difference to `device_bytes_freed`, which the text
# of `formatted_statistics` calls "live". With iree-base-runtime 3.13.0, without a GPU.
#
# So: a chart of this key shows a leak in every program; the difference of two keys is charted instead.

. "$(dirname "$0")/evidence.sh"

install iree-base-runtime==3.13.0 numpy==2.4.6 ml_dtypes==0.6.0
evidence <<'PYTHON'
import gc
import re

import numpy as np
from evidence import Evidence


import iree.runtime

MIB = 1 << 20
device = iree.runtime.get_device("local-sync")
for _ in range(10):
    array = iree.runtime.asdevicearray(device, np.zeros(MIB, np.uint8))
    del array
    gc.collect()
statistics = device.allocator.statistics
text = re.search(r"DEVICE_LOCAL:.* (\d+)B live", device.allocator.formatted_statistics)

evidence = Evidence()
keys = sorted(key for key in statistics if key.startswith("device_"))
evidence.see("keys", keys, ["device_bytes_allocated", "device_bytes_freed", "device_bytes_peak"])
evidence.see("allocated, in MiB", statistics["device_bytes_allocated"] / MIB, 10.0)
evidence.see("peak, in MiB", statistics["device_bytes_peak"] / MIB, 1.0)
evidence.see("allocated - freed", statistics["device_bytes_allocated"] - statistics["device_bytes_freed"], 0)
evidence.see("live, by the text", int(text[1]), 0)
evidence.close()
PYTHON
