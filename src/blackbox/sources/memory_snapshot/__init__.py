"""A memory snapshot that PyTorch dumped into a file (`torch.cuda.memory._dump_snapshot`), as a sample.

The file is a pickle, and may come from anyone. It is read by a child process that can only make plain data of it, with
limits that the kernel keeps: what is built to crash or to swell takes down that child alone.
"""

from blackbox.sources.memory_snapshot.contents import Contents
from blackbox.sources.memory_snapshot.reading import read

__all__ = ["Contents", "read"]
