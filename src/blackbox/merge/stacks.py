"""The stack rows of one process on one GPU."""

from collections.abc import Sequence

from blackbox.model.parts import Allocator
from blackbox.model.snapshot import Stack


def stack_rows(pid: int, gpu: int, allocators: Sequence[Allocator]) -> tuple[Stack, ...]:
    """Rows that sum to the allocators' allocated bytes; none where no allocator reports stacks."""
    if all(allocator.stacks is None for allocator in allocators):
        return ()
    rows = [
        Stack(
            pid=pid,
            gpu=gpu,
            frames=stack.frames,
            type=stack.type,
            allocated_bytes=stack.allocated_bytes,
            subtype=stack.subtype,
            blocks=stack.blocks,
        )
        for allocator in allocators
        for stack in allocator.stacks or ()
    ]
    rest = sum(allocator.allocated_bytes - stacks_bytes(allocator) for allocator in allocators)
    if rest or not rows:
        rows.append(Stack(pid=pid, gpu=gpu, frames=(), type="other", allocated_bytes=rest))
    return tuple(rows)


def stacks_bytes(allocator: Allocator) -> int:
    """How many of the allocator's allocated bytes its stacks account for."""
    return sum(stack.allocated_bytes for stack in allocator.stacks or ())
