#!/bin/sh
# gpumonitor's average of a GPU's memory falls with every sample below it, by 1 MiB at least, and never rises again.
#
# Expected: the mean of the samples, or one that is off by the rounding of the last. What happens: after each sample the
# mean so far is cut to a whole number, and the next one starts from that. A sample that is larger by less than there were
# samples changes nothing, one that is smaller takes a whole unit. Memory that goes between 1000 and 1040 MiB has an
# average of 1000, not 1020; so has a program that took 1000 MiB for a while and 1090 for as long afterwards. With
# gpumonitor 0.1.2 and gpustat 1.1.1.
#
# So: that average is near the smallest sample of a long run; a mean is kept as a sum and a count.

. "$(dirname "$0")/evidence.sh"

install gpumonitor==0.1.2 gpustat==1.1.1 six==1.17.0
evidence <<'PYTHON'
from evidence import Evidence


from gpumonitor.monitor import GPUStatMonitor
from gpustat import GPUStat, GPUStatCollection


def sample(used: int, busy: int) -> GPUStatCollection:
    told = {"index": 0, "uuid": "GPU-0", "name": "GPU", "memory.total": 24576, "memory.used": used, "temperature.gpu": 40}
    rest = {"fan.speed": None, "power.draw": None, "enforced.power.limit": None, "processes": []}
    return GPUStatCollection([GPUStat(told | rest | {"utilization.gpu": busy})])


def average(samples: list[tuple[int, int]]) -> tuple[int, int]:
    """(MiB used, percent busy)"""
    monitor = GPUStatMonitor.__new__(GPUStatMonitor)  # without the thread that asks the driver
    monitor.reset()
    for used, busy in samples:
        monitor.add_entry_to_average_stats(sample(used, busy))
    (gpu,) = monitor.average_stats
    return gpu.memory_used, gpu.utilization


evidence = Evidence()
alternating = [(1000, 40), (1040, 60)]
evidence.see("MiB and percent after one sample of each", average(alternating), (1020, 50))
evidence.see("after a hundred of each", average(alternating * 100), (1000, 40))
low, high = [(1000, 40)] * 100, [(1090, 90)] * 100
evidence.see("a hundred of 1000 MiB, then a hundred of 1090", average(low + high), (1000, 40))
evidence.see("a hundred of 1090 MiB, then a hundred of 1000", average(high + low), (1000, 40))
evidence.close()
PYTHON
