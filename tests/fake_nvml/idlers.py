"""Real processes to list on a fake GPU: tools that look pids up in /proc drop the ones that do not exist."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager


@contextmanager
def idle_processes(count: int) -> Iterator[list[int]]:
    """The pids of `count` children that wait on a pipe of ours: they end with the context, or with us."""
    reader, writer = os.pipe()
    with ExitStack() as stack:
        try:
            children = [
                stack.enter_context(subprocess.Popen(["cat"], stdin=reader, stdout=subprocess.DEVNULL))
                for _ in range(count)
            ]
            yield [child.pid for child in children]
        finally:
            os.close(writer)
            os.close(reader)
