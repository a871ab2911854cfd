"""Where numbers come from: one module per origin, behind one Protocol and one table.

A new source is one module with a class that keeps `Source`'s promises, and one line in `SOURCES`.
"""

from typing import Literal, NamedTuple, Protocol

from blackbox.model.sample import Sample
from blackbox.settings import Vendor


class Source(Protocol):
    """One origin of numbers.

    `sample` may block or even crash: a source with `isolation="child"` runs in a process of its own that is killed
    and replaced when it misses its deadline, any other in a thread of its own.
    """

    name: str

    def sample(self) -> Sample:
        """What is there now. Opens what it needs on the first call, and again after a loss.

        A fault of the machine is an answer (`Sample.state`, `Device.state`, `unknown`), not an exception; an
        exception means a bug in the source and is counted as a failed sample.
        """
        ...

    def close(self) -> None:
        """Lets go of every handle. `sample` may be called again afterwards. Never raises."""
        ...


class SourceSpec(NamedTuple):
    """How to make and run a source."""

    name: str
    factory: str
    """`module:callable`, imported where the source runs. In a thread, called with what it has parameters for, of
    `settings` and `gpu_pids` (a way to ask which processes are on a GPU now); otherwise without arguments."""
    isolation: Literal["child", "thread"]
    default: bool
    """Runs unless the settings say otherwise."""
    off_switch: str | None = None
    """The setting that keeps it from running."""
    on_switch: str | None = None
    """The setting that makes it run, where it does not by default."""
    variant: tuple[str, str] | None = None
    """(setting, factory in place of `factory` where that is on)"""
    vendor: Vendor | None = None
    """Whose GPUs it sees: it runs where the machine has these (see `vendor_of`)."""


SOURCES: tuple[SourceSpec, ...] = (
    SourceSpec(
        "nvml",
        "blackbox.sources.nvml:NvmlSource",
        isolation="child",
        default=True,
        variant=("gpm", "blackbox.sources.nvml:with_gpm"),
        vendor="nvidia",
    ),
    SourceSpec(
        "pm_sampling",
        "blackbox.sources.pm_sampling:PmSamplingSource",
        isolation="child",
        default=False,
        on_switch="pm_sampling",
        vendor="nvidia",
    ),
    SourceSpec("amd", "blackbox.sources.amd:AmdSource", isolation="child", default=True, vendor="amd"),
    SourceSpec("agents", "blackbox.sources.agents:make", isolation="thread", default=True, off_switch="no_agents"),
    SourceSpec("engines", "blackbox.sources.engines:make", isolation="thread", default=True, off_switch="no_engines"),
    SourceSpec("simulated", "blackbox.sources.simulated:SimulatedSource", isolation="thread", default=False),
)
