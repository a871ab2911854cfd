"""When a program is left alone, and what is said then. Looked at before anything is written."""

from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from typing import NamedTuple

from blackbox.agent.bootstrap import is_off
from blackbox.injection.program import ENDED_STATES, Program, is_interpreter, own_machine
from blackbox.model.text import printable

OLDEST = (3, 14)
"""Of Python: the first that runs a script for others at a safe point of its own (PEP 768)."""
OLDEST_DETOUR = (3, 9)
"""The first that the agent runs on."""
_REMOTE_DEBUGGING_OFF = ("disable-remote-debug", "disable_remote_debug")
"""Python's switch, and how its own pages have written it, which it takes for nothing: it says what was meant."""
X86_64 = b"\x3e\0"
"""For which the instructions of the detour are written."""
AGE_SECONDS_MIN = 5.0
"""A younger program may still be setting up its interpreter."""

OTHER_WAYS = (
    "Other ways in: start it with 'blackbox run -- PROGRAM', call blackbox.attach() in it, or install Blackbox where "
    "vLLM runs (docs/agent.md)."
)


class Objection(Enum):
    """Each with its exit code and its sentence; `{name}` and the like are filled in from the program."""

    GONE = 10, "there is no process {pid}"
    NOT_PERMITTED = 11, "the kernel does not let {who} look into process {pid}{instead}"
    ENDED = 12, "process {pid} has ended"
    NOT_PYTHON = 13, "process {pid} ({name}) is no Python that shows its version"
    OLD_PYTHON = 14, "process {pid} ({name}) runs Python {version}; {oldest}"
    YOUNG = 15, "process {pid} ({name}) is younger than {age_min:.0f} s and may still be starting; try again"
    NO_FRAMEWORK = 16, "process {pid} ({name}) has loaded no framework that the agent knows: {known}"
    STOPPED = 17, "process {pid} ({name}) is stopped; it can be attached to when it runs again"
    TRACED = 18, "process {pid} ({name}) is being debugged by process {tracer_pid}"
    REPLACED = 19, "the interpreter of process {pid} ({name}) was replaced on the disk since it started: {executable}"
    FORBIDDEN = 20, "process {pid} ({name}) says BLACKBOX_AGENT={agent}: the agent stays out"
    DEBUGGING_OFF = 21, "process {pid} ({name}) has remote debugging switched off"
    OTHER_MACHINE = 22, "process {pid} ({name}) is of another architecture than this Blackbox"
    C_LIBRARY = 23, "process {pid} ({name}) does not run on the GNU C library, on which alone attaching was tried"
    ELSEWHERE = (
        24,
        "process {pid} ({name}) is in a container or another namespace ({namespaces}); root may attach to it with "
        "--experimental",
    )
    NO_SERVER = 25, "no server listens for agents at {socket}: start one with 'blackbox serve'"
    KERNEL = 26, "process {pid} ({name}) could not be written to: {reason}"
    NOT_RUN = (
        27,
        "process {pid} ({name}) ran no Python within {wait:g} s: {doing}, and lets nobody in until that returns; the "
        "request was taken back, --wait waits longer",
    )
    FAILED = 28, "the agent could not be started in process {pid} ({name}): {reason}"
    FREE_THREADED = 29, "process {pid} ({name}) runs a free-threaded Python, on which attaching was not tried"
    WITHIN = (
        30,
        "process {pid} ({name}) has Python within {executable}, which is no interpreter that could be asked; "
        "--experimental does without",
    )

    @property
    def exit_code(self) -> int:
        return self.value[0]

    def sentence(self, **figures: object) -> str:
        """One line, with these figures in it."""
        return self.value[1].format(**figures)


class Refused(NamedTuple):
    """Why a program was left alone."""

    objection: Objection
    sentence: str


def refuse(objection: Objection, program: Program, **figures: object) -> Refused:
    """With what is known of the program in its sentence."""
    detour = program.version is not None and OLDEST_DETOUR <= program.version < OLDEST
    version = "?" if program.version is None else ".".join(map(str, program.version))
    figures = {"reason": program.forbidden} | figures
    sentence = objection.sentence(
        pid=program.pid,
        name=program.name,
        version=version,
        tracer_pid=program.tracer_pid,
        executable=program.executable,
        namespaces=", ".join(program.namespaces),
        agent=program.environment.get("BLACKBOX_AGENT", ""),
        age_min=AGE_SECONDS_MIN,
        known="PyTorch, JAX, CuPy, RMM",
        oldest="older ones than 3.14 can be attached to only with --experimental"
        if detour
        else "from outside only 3.14 and newer can be attached to, or with --experimental 3.9 and newer",
        **figures,
    )
    return Refused(objection, printable(sentence))


def not_permitted(pid: int, as_root: bool) -> Refused:
    """The kernel shows it to others only."""
    who, instead = ("even root", " from here") if as_root else ("this user", ": attach as its user, or as root")
    return Refused(Objection.NOT_PERMITTED, Objection.NOT_PERMITTED.sentence(who=who, pid=pid, instead=instead))


def objections(program: Program, experimental: bool = False, as_root: bool = False) -> tuple[Refused, ...]:
    """All that speaks against attaching to this program, the weightiest first; empty where nothing does.

    `experimental`: by a detour of its main thread, `as_root` by root.
    """
    rules = _RULES
    if experimental:
        rules = _RULES | _DETOUR_RULES
        if as_root:
            rules = {objection: holds for objection, holds in rules.items() if objection is not Objection.ELSEWHERE}
    found = [objection for objection, holds in rules.items() if holds(program)]
    if found and found[0] in (Objection.ENDED, Objection.NOT_PYTHON):
        del found[1:]  # the rest follows from it
    return tuple(refuse(objection, program) for objection in found)


def objections_to_detach(program: Program, experimental: bool = False, as_root: bool = False) -> tuple[Refused, ...]:
    """The same for taking the agent out: what it has loaded and its age do not matter then."""
    return tuple(
        refused
        for refused in objections(program, experimental, as_root)
        if refused.objection not in (Objection.YOUNG, Objection.NO_FRAMEWORK, Objection.FORBIDDEN)
    )


def _debugging_off(program: Program) -> bool:
    """Whatever the value: Python takes `=0` and an empty variable for a yes, too."""
    switches = list(_switches(program.arguments))
    by_variable = "PYTHON_DISABLE_REMOTE_DEBUG" in program.environment and not {"E", "I"} & {one for one, _ in switches}
    return by_variable or any(
        letter == "X" and value.partition("=")[0] in _REMOTE_DEBUGGING_OFF for letter, value in switches
    )


def _switches(arguments: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Python's own, letter and value, up to the script."""
    left = iter(arguments[1:])
    for argument in left:
        if not argument.startswith("-") or argument in ("-", "--"):
            return
        if argument.startswith("--"):
            continue
        for place, letter in enumerate(argument[1:], 2):
            if letter in "cm":
                return
            if letter in "WX":
                yield letter, argument[place:] or next(left, "")
                break
            yield letter, ""


_RULES: dict[Objection, Callable[[Program], bool]] = {
    Objection.ENDED: lambda program: program.state in ENDED_STATES,
    Objection.NOT_PYTHON: lambda program: program.version is None,
    Objection.OTHER_MACHINE: lambda program: program.machine != own_machine(),
    Objection.C_LIBRARY: lambda program: program.c_library != "glibc",
    Objection.FREE_THREADED: lambda program: program.is_free_threaded,
    Objection.FORBIDDEN: lambda program: is_off(program.environment),
    Objection.DEBUGGING_OFF: _debugging_off,
    Objection.KERNEL: lambda program: bool(program.forbidden),
    Objection.REPLACED: lambda program: program.replaced and not program.namespaces,
    Objection.TRACED: lambda program: program.state == "t" or program.tracer_pid != 0,
    Objection.STOPPED: lambda program: program.state == "T",
    Objection.YOUNG: lambda program: program.age_seconds < AGE_SECONDS_MIN,
    Objection.NO_FRAMEWORK: lambda program: not program.frameworks,
    Objection.OLD_PYTHON: lambda program: program.version is not None and program.version < OLDEST,
    Objection.WITHIN: lambda program: not is_interpreter(program),
    Objection.ELSEWHERE: lambda program: bool(program.namespaces),
}
"""What `--experimental` would do away with stands last: whoever names it is not told of something else then."""
_DETOUR_RULES: dict[Objection, Callable[[Program], bool]] = {
    Objection.OTHER_MACHINE: lambda program: program.machine != own_machine() or program.machine != X86_64,
    Objection.OLD_PYTHON: lambda program: program.version is not None and program.version < OLDEST_DETOUR,
    Objection.WITHIN: lambda _: False,
}
"""In place of those above."""
