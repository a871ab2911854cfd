"""What processes of a fleet can be gathered by. Needs nothing, so that a command's help may name the keys."""

from typing import Literal, get_args

HolderKey = Literal["workload", "user", "slurm_job", "pod", "namespace", "container", "host", "name"]
HOLDER_KEYS: tuple[HolderKey, ...] = get_args(HolderKey)
"""The first is the default."""
