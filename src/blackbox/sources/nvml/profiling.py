"""Who may read hardware counters on this machine."""

from pathlib import Path

PARAMETERS = "driver/nvidia/params"
_ADMINISTRATORS, _EVERYONE = "RmProfilingAdminOnly: 1", "RmProfilingAdminOnly: 0"


def profiling_access(procfs: Path) -> str:
    """`administrators` or `everyone`, as the kernel module is set; `unknown` where it does not tell."""
    try:
        parameters = (procfs / PARAMETERS).read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return "unknown"
    if _ADMINISTRATORS in parameters:
        return "administrators"
    return "everyone" if _EVERYONE in parameters else "unknown"
