"""What a source is: the promises it keeps, and the declaration by which it is found, set up and run.

Imports next to nothing, since every command that reads settings loads it.
"""

from collections.abc import Callable, Collection, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, Protocol, TypeVar, cast

if TYPE_CHECKING:
    from blackbox.model.facts import Fact
    from blackbox.model.parts import Device
    from blackbox.model.sample import Sample

T = TypeVar("T")

DropBreadcrumb = Callable[[str, int], None]
"""Called with (function, device index; -1 for none) before each call that may hang or crash, so that whoever
supervises the process knows which call it was."""

OptionValues = Mapping[str, object]
"""Key of an option -> its value, of those that a person has set."""


class Source(Protocol):
    """One origin of numbers.

    `sample` may block or even crash: a source with `isolation="child"` runs in a process of its own that is killed
    and replaced when it misses its deadline, any other in a thread of its own.

    One in a thread may have `quiet_seconds`: so old its newest sample may become before another one is asked for, as
    things are. Waking a thread costs more than most samples.
    """

    name: str

    def sample(self) -> "Sample":
        """What is there now. Opens what it needs on the first call, and again after a loss.

        A fault of the machine is an answer (`Sample.state`, `Device.state`, `unknown`), not an exception; an
        exception means a bug in the source and is counted as a failed sample.
        """
        ...

    def close(self) -> None:
        """Releases every handle. May be called twice, and `sample` again afterwards. Never raises."""
        ...


def no_breadcrumb(function: str, device: int) -> None:
    """Leaves no trace: for a source that nobody supervises."""


class SourceOption(NamedTuple, Generic[T]):
    """A setting of a source: `key` is `--key` on the command line, `BLACKBOX_KEY` in the environment, and `key` in the
    settings file."""

    key: str
    kind: Literal["switch", "path", "text"]
    default: T
    help: str
    metavar: str | None = None
    parse: Callable[[str], object] | None = None
    """Checks and converts `text`; raises `UsageError` with one line."""
    many: bool = False
    """May be given several times; the value is a tuple."""

    def of(self, values: OptionValues) -> T:
        """The value in force."""
        return cast("T", values.get(self.key, self.default))


class SourceContext(NamedTuple):
    """What a source that runs in a thread may ask for when it is made."""

    options: OptionValues
    gpu_pids: Callable[[], Collection[int]]
    """The processes on a GPU now, of our own pid namespace."""
    devices: "Callable[[], Collection[Device]]" = tuple
    """The GPUs and MIG instances that drivers list now; empty before they answered."""

    def gpu_uuids(self) -> set[str]:
        """Theirs."""
        return {device.uuid for device in self.devices()}


class SourceSpec(NamedTuple):
    """How to make and run a source. Each package in `sources/` that is one has it as `SPEC`."""

    name: str
    factory: str
    """`module:callable`, imported where the source runs. In a thread it is called with a `SourceContext`, in a process
    of its own with a `breadcrumb` to drop before each call that may hang, where it takes one."""
    isolation: Literal["child", "thread"]
    default: bool
    """Runs unless `switch` says otherwise."""
    switch: SourceOption[bool] | None = None
    """Makes it run where it does not by default; keeps it from running where it does."""
    variant: tuple[SourceOption[bool], str] | None = None
    """(switch, factory in place of `factory` where that is on)"""
    options: tuple[SourceOption[Any], ...] = ()
    """All its options, in the order of `--help`."""
    facts: "tuple[Fact[Any], ...]" = ()
    """What its samples may state in `Sample.facts`."""
    has_named_facts: bool = False
    """Its samples state facts under names found at run time as well, such as addresses."""
    vendor: str | None = None
    """Whose GPUs it sees: it runs where the machine has these (see `sources/vendor.py`)."""
    needs: str | None = None
    """`module:callable` that is asked, with the options, before it is made: why it cannot run on this machine, in one
    line; empty where there is nothing to tell; None where it can."""
    simulated: bool = False
    """Shows a machine that does not exist: runs in demo mode, and alone."""

    def runs(self, options: OptionValues, vendor: str) -> bool:
        """Whether it runs on a real machine with GPUs of `vendor`."""
        if self.simulated or self.vendor not in (None, vendor):
            return False
        is_switched = self.switch is not None and self.switch.of(options)
        return self.default != is_switched

    def hindrance(self, options: OptionValues) -> str | None:
        """What `needs` says."""
        if self.needs is None:
            return None
        module, _, name = self.needs.partition(":")
        ask: Callable[[OptionValues], str | None] = getattr(import_module(module), name)
        return ask(options)

    def chosen_factory(self, options: OptionValues) -> str:
        """`factory`, or that of the variant that is switched on."""
        if self.variant is not None and self.variant[0].of(options):
            return self.variant[1]
        return self.factory
