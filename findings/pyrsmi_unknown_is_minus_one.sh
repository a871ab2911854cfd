#!/bin/sh
# AMD's pyrsmi without its library: no GPU, -1 bytes of memory, a utilization of -1, a name that is empty.
#
# Expected: without the library of ROCm every question raises, as its start does. What happens: `smi_initialize` raises;
# whoever catches that and asks on gets numbers: 0 devices, and of device 0 a memory of -1 bytes, used -1, a utilization
# and a power of -1, and an empty name, beside tracebacks on the standard error. Only the version raises, an
# `AttributeError`. With pyrsmi 1.1.0, on a machine without ROCm.
#
# So: a number below 0 is looked for before it is added up: two such GPUs have -2 bytes, of which -100 % are used.

. "$(dirname "$0")/evidence.sh"

install pyrsmi==1.1.0
evidence <<'PYTHON'
from evidence import Evidence, outcome


import contextlib
import io
import logging

from pyrsmi import rocml

logging.disable(logging.CRITICAL)
evidence = Evidence()
chatter = contextlib.redirect_stderr(io.StringIO())  # of tracebacks that it prints and goes on
chatter.__enter__()
evidence.see("its start", outcome(rocml.smi_initialize), "ROCMLError_LibraryNotFound")
evidence.see("devices", outcome(rocml.smi_get_device_count), 0)
evidence.see("memory of the first", outcome(lambda: rocml.smi_get_device_memory_total(0)), -1)
evidence.see("used of it", outcome(lambda: rocml.smi_get_device_memory_used(0)), -1)
evidence.see("its utilization", outcome(lambda: rocml.smi_get_device_utilization(0)), -1)
evidence.see("its name", outcome(lambda: rocml.smi_get_device_name(0)), "")
evidence.see("version of the driver", outcome(rocml.smi_get_kernel_version), "AttributeError")
evidence.close()
PYTHON
