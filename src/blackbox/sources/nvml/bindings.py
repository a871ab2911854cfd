"""NVIDIA's bindings, which carry no types: the one place where they are taken for granted."""

from typing import Any

import pynvml  # pyright: ignore[reportMissingTypeStubs]: NVIDIA ships none

nvml: Any = pynvml
