"""Whether the pids in the driver's process lists mean the processes of /proc."""

TRANSLATING_DRIVER = (565, 57, 1)
"""From this version on the driver answers in the caller's pid namespace throughout."""


def pids_are_ours(driver_version: str, sees_host_pids: bool) -> bool:
    """Whether the driver's pids mean the processes that /proc shows here."""
    if sees_host_pids:
        return True
    parts = driver_version.split(".")
    return all(part.isdigit() for part in parts) and tuple(map(int, parts)) >= TRANSLATING_DRIVER
