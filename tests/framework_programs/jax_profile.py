"""Makes an array of a mebibyte in a function called `build`, and writes JAX's device memory profile: FILE"""

import sys

import jax
import jax.numpy as jnp
from jax._src import xla_bridge


def build():
    return jnp.ones((256, 1024), jnp.float32)


array = build()
array.block_until_ready()
jax.profiler.save_device_memory_profile(sys.argv[1])
(client,) = xla_bridge._backends.values()
(device,) = client.local_devices()
print(type(xla_bridge._backends).__name__, device.platform, device.local_hardware_id, device.memory_stats())
