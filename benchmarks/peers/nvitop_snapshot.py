"""nvitop: every device and every process on it."""

from nvitop import take_snapshots

from benchmarks.peers import report_cost

report_cost(take_snapshots)
