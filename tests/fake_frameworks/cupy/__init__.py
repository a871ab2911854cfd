from cupy import cuda


class MemoryPool:
    """Of every device; which one a call means is the current device of the calling thread."""

    def __init__(self):
        self.bytes = {}
        """Ordinal -> (held, used)."""

    def total_bytes(self):
        return self.bytes.get(cuda.current(), (0, 0))[0]

    def used_bytes(self):
        return self.bytes.get(cuda.current(), (0, 0))[1]


_default_memory_pool = MemoryPool()


def get_default_memory_pool():
    return _default_memory_pool
