"""NVIDIA's driver as it is installed here: whose pids it lists, who may read its counters."""

from pathlib import Path

from blackbox.model.facts import ProfilingAccess

TRANSLATING_DRIVER = (565, 57, 1)
"""From this version on the driver answers in the caller's pid namespace throughout."""
PARAMETERS = "driver/nvidia/params"
_ADMINISTRATORS, _EVERYONE = "RmProfilingAdminOnly: 1", "RmProfilingAdminOnly: 0"


def pids_are_ours(driver_version: str, sees_host_pids: bool) -> bool:
    """Whether the driver's pids mean the processes that /proc shows here."""
    if sees_host_pids:
        return True
    parts = driver_version.split(".")
    return all(part.isdigit() for part in parts) and tuple(map(int, parts)) >= TRANSLATING_DRIVER


def profiling_access(procfs: Path) -> ProfilingAccess:
    """`administrators` or `everyone`, as the kernel module is set; `unknown` where it does not tell."""
    try:
        parameters = (procfs / PARAMETERS).read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return "unknown"
    if _ADMINISTRATORS in parameters:
        return "administrators"
    return "everyone" if _EVERYONE in parameters else "unknown"
