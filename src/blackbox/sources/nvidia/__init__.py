"""NVIDIA's driver library, opened: its calls, errors, devices and process lists, for every source that asks it."""
