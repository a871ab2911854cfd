"""gpustat: what `gpustat --json` prints."""

import io

from gpustat import new_query

from benchmarks.peers import report_cost


def snapshot() -> None:
    """One query, as JSON."""
    new_query().print_json(fp=io.StringIO())


report_cost(snapshot)
