"""A device memory profile that JAX wrote into a file (`jax.profiler.save_device_memory_profile`), as a sample.

The file is a gzip'd profile of pprof, and may come from anyone. It is read by a child process, with limits that the
kernel keeps.
"""

from blackbox.sources.jax_profile.reading import read

__all__ = ["read"]
