#!/bin/sh
# memray's "peak memory" counts address space that holds nothing: what is reserved, and whole files that are mapped.
#
# Expected: a heap profiler counts what was allocated. What happens: every anonymous `mmap` counts with its whole length,
# also one without any access rights, by which drivers and allocators of GPUs keep addresses for later; and so does a file
# that is mapped to be read, as weights are. A program that holds some megabytes has a peak of 66 GiB. With memray 1.20.0.
# The records tell which: `allocator` is MMAP, and the size is the mapping's.
#
# So: memray's total beside a GPU's is read without the allocator MMAP, or compared with the resident size, which it does
# record.

. "$(dirname "$0")/evidence.sh"

install memray==1.20.0
evidence <<'PYTHON'
import mmap
import os
import tempfile
from pathlib import Path

from evidence import Evidence


from memray import AllocatorType, FileReader, Tracker

GIB = 1 << 30
NO_ACCESS, NO_RESERVE = 0, 0x4000

with tempfile.TemporaryDirectory() as folder:
    weights = Path(folder, "weights")
    with weights.open("wb") as file:
        file.truncate(2 * GIB)
    with Tracker(Path(folder, "profile"), memory_interval_ms=1):
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | NO_RESERVE
        reserved = mmap.mmap(-1, 64 * GIB, flags=flags, prot=NO_ACCESS)
        with weights.open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        resident = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    reader = FileReader(Path(folder, "profile"))
    records = list(reader.get_high_watermark_allocation_records())

evidence = Evidence()
evidence.see("peak memory, GiB", round(reader.metadata.peak_memory / GIB, 1), 66.0)
evidence.see("resident, less than 1 GiB", resident < GIB, True)
by_mmap = sum(record.size for record in records if record.allocator == AllocatorType.MMAP)
evidence.see("of it by mmap, GiB", by_mmap / GIB, 66.0)
evidence.see("the rest, less than 1 GiB", reader.metadata.peak_memory - by_mmap < GIB, True)
evidence.close()
PYTHON
