#!/bin/sh
# In MLX the peak of memory is 0 after it was reset, whatever lives; and a limit limits nothing.
#
# Expected: `reset_peak_memory()` begins a new peak at what lives now, as PyTorch's does: the most that is held is never
# less than what is held. What happens: it begins at 0, and stays there until something is allocated; a step that
# computes nothing, or only frees, has had no peak. With the first allocation, of one byte, it leaps to all that lives.
# And `set_memory_limit` is no limit: memory of any size beyond it is given, as long as the machine has some. With mlx
# 0.32.4 on the CPU.
#
# So: a step's peak is the larger of `get_peak_memory()` and `get_active_memory()`, and who must stay below a limit
# checks.

. "$(dirname "$0")/evidence.sh"

install mlx==0.32.4 mlx-cpu==0.32.4
evidence <<'PYTHON'
from evidence import Evidence


import mlx.core as mx

MIB = 1 << 20


def made(size: int) -> mx.array:
    array = mx.ones((size,), mx.uint8)
    mx.eval(array)
    return array


def told() -> tuple[float, float]:
    """MiB that live, and the peak."""
    return round(mx.get_active_memory() / MIB, 1), round(mx.get_peak_memory() / MIB, 1)


evidence = Evidence()
kept, gone = made(20 * MIB), made(10 * MIB)
evidence.see("MiB alive, peak", told(), (30.0, 30.0))
mx.reset_peak_memory()
evidence.see("after the reset", told(), (30.0, 0.0))
del gone
evidence.see("after freeing 10 MiB", told(), (20.0, 0.0))
one = made(1)
evidence.see("after allocating one byte", told(), (20.0, 20.0))
mx.set_memory_limit(1 * MIB)
more = made(50 * MIB)
evidence.see("after allocating 50 MiB below a limit of 1 MiB", told(), (70.0, 70.0))
evidence.close()
PYTHON
