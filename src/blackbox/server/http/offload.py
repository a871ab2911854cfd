"""Work that an event loop cannot spare the time for, on a thread."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def off_loop(workers: Executor, work: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> T:
    """What `work` returns or raises, run on a thread of `workers` while the event loop goes on."""
    return await asyncio.get_running_loop().run_in_executor(workers, partial(work, *arguments, **options))
