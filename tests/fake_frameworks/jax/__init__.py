from jax._src import xla_bridge as _xla_bridge  # noqa: F401 - as JAX itself
