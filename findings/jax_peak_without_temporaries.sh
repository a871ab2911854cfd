#!/bin/sh
# The peak that JAX tells of a compiled program may be smaller than the temporary memory that it tells beside it.
#
# Expected: `memory_analysis().peak_memory_in_bytes` is the most that a run takes, so at least the temporaries, and with
# arguments and result more: it is the figure to compare with a device's memory. What happens on the CPU: the peak has
# arguments, results and constants, and leaves the temporaries out, however large they are: 4 MiB for a program with 16
# MiB of them, which it does take. Constants, which the program holds for good, are in the peak alone: `argument_size`
# and `generated_code_size` have nothing of them. With jax and jaxlib 0.10.2.
#
# So: what a program needs is its arguments, results less aliases, temporaries and constants, added up; and of two
# programs the one with the smaller peak may need more.

. "$(dirname "$0")/evidence.sh"

install jax==0.10.2 jaxlib==0.10.2
JAX_PLATFORMS=cpu
export JAX_PLATFORMS
evidence <<'PYTHON'
from collections.abc import Callable

from evidence import Evidence


import jax
import jax.numpy as jnp
import numpy as np

MIB = 1 << 20
matrix = jnp.asarray(np.random.default_rng(0).random((1024, 1024), np.float32))
table = jnp.asarray(np.random.default_rng(1).random((1024, 1024), np.float32))


def told(work: Callable[[jax.Array], jax.Array]) -> dict[str, int]:
    """MiB of the program, rounded: a single number as result is 0."""
    analysis = jax.jit(work).lower(matrix).compile().memory_analysis()
    names = ("argument_size", "output_size", "generated_code_size", "temp_size", "peak_memory")
    return {name: getattr(analysis, f"{name}_in_bytes") // MIB for name in names}


def found(argument: int, output: int, temporary: int, peak: int) -> dict[str, int]:
    sizes = {"argument_size": argument, "output_size": output, "generated_code_size": 0}
    return sizes | {"temp_size": temporary, "peak_memory": peak}


evidence = Evidence()
evidence.see("a Fourier transform", told(lambda a: jnp.fft.fft(jnp.sin(a)).real.sum()), found(4, 0, 16, 4))
gradient = jax.grad(lambda a: (jnp.tanh(a @ a) @ a).sum())
evidence.see("a gradient", told(gradient), found(4, 4, 12, 8))
evidence.see("a product with a constant of 4 MiB", told(lambda a: a * table), found(4, 4, 0, 12))
evidence.close()
PYTHON
