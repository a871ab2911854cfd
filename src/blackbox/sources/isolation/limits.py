"""Limits that the kernel keeps, for a process that reads what may come from anyone."""

import resource


def limit_this_process(memory_bytes: int, cpu_seconds: int) -> None:
    """What such a process does first."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
