"""From sources to moments: a runner per source, the sampler that asks them on every tick, and recordings played."""
