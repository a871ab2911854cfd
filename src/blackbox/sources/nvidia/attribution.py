"""Whether counters of a whole GPU are those of one process."""

PARTITIONED = "its GPU is partitioned (MIG), and only whole GPUs are measured"
CONTAINED = "processes outside this container may be on the GPU, unseen"


def shared_reason(
    index: int, processes: int, unknown: str | None, is_partitioned: bool, sees_all_pids: bool, counter: str
) -> str | None:
    """Why what `counter` counts of the whole GPU is not one process's own; None where it is. `unknown`: why the GPU
    may have more processes."""
    if is_partitioned:
        return PARTITIONED
    if processes > 1:
        return f"GPU {index} runs {processes} processes, and {counter} counts the whole GPU"
    if unknown:
        return f"others may be on the GPU: {unknown}"
    return None if sees_all_pids else f"{CONTAINED}, and {counter} counts the whole GPU"
