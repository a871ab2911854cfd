"""The command line. A new command is one module with `configure` and `run`, and one line in `COMMANDS`.

Modules are imported when their command is chosen, and import what is heavy when they run, so `--help` stays quick.
"""

import importlib
import os
import re
import signal
import sys
from argparse import Action, ArgumentError, ArgumentParser, Namespace
from collections.abc import Sequence
from typing import Any, NamedTuple, NoReturn, Protocol, cast

from blackbox.cli.common.paragraphs import HelpFormatter, PlainHelpFormatter, say
from blackbox.errors import FailureError, UsageError

EXIT_FAILURE = 1
EXIT_USAGE = 2
EXIT_INTERRUPTED = 128 + signal.SIGINT
EXIT_BROKEN_PIPE = 128 + signal.SIGPIPE

WELCOME = """\
Blackbox, the flight recorder for GPU memory: who holds it, what for, and what
happened before it ran out.

  blackbox serve                   watch this machine's GPUs
                                   (--demo: a simulated one, without a GPU)
  blackbox stat                    who holds the memory now
                                   ('blackbox top' follows it live)
  blackbox run -- python train.py  run a program so that its blocks, stacks and
                                   failures are recorded

All commands: blackbox --help
What works on this machine, and what does not: blackbox doctor"""
REST = "program"
"""The argument of 'run' that holds a list by itself: the program and its arguments."""
LOG_LEVELS = ("debug", "info", "warning", "error")
_NO_FLAG = re.compile(r"-\.?[0-9]")
"""What begins so is a value, such as `-5m`: as argparse itself has it from Python 3.14 on."""


class CommandModule(Protocol):
    """What a command's module offers."""

    def configure(self, parser: ArgumentParser) -> None:
        """Adds the command's own arguments."""
        ...

    def run(self, arguments: Namespace) -> int:
        """Does the work; returns the exit code, or raises one of `blackbox.errors`."""
        ...


class Command(NamedTuple):
    name: str
    module: str
    help: str


COMMANDS = (
    Command("serve", "blackbox.cli.commands.serve", "watch this machine's GPUs and answer over HTTP"),
    Command("top", "blackbox.cli.commands.top", "watch GPU memory in the terminal, now and in the recording"),
    Command("stat", "blackbox.cli.commands.stat", "tell who holds the memory: one screen, or JSON in a pipe"),
    Command("stream", "blackbox.cli.commands.stream", "print every new snapshot as a line of JSON"),
    Command("run", "blackbox.cli.commands.run", "run a program so that the server sees inside it"),
    Command("attach", "blackbox.cli.commands.attach", "bring the agent into a program that already runs"),
    Command("detach", "blackbox.cli.commands.detach", "take the agent out of a program that goes on running"),
    Command("history", "blackbox.cli.commands.history", "show a metric over time"),
    Command("at", "blackbox.cli.commands.at", "tell who held the memory at a time"),
    Command("events", "blackbox.cli.commands.events", "print what happened"),
    Command("compare", "blackbox.cli.commands.compare", "print what differs between two times"),
    Command("forecast", "blackbox.cli.commands.forecast", "predict when memory will be full, where it steadily fills"),
    Command("report", "blackbox.cli.commands.report", "tell what happened before the memory ran out"),
    Command("dump", "blackbox.cli.commands.dump", "keep the last minutes of the recording in one file"),
    Command("export", "blackbox.cli.commands.export", "write a range of the recording as CSV, JSON Lines or Parquet"),
    Command(
        "import",
        "blackbox.cli.commands.import_",
        "print what a file holds: PyTorch memory snapshot, Nsight Compute report",
    ),
    Command("fleet", "blackbox.cli.commands.fleet", "ask many machines at once, from the database they ship to"),
    Command("agents", "blackbox.cli.commands.agents", "tell which programs report from inside, and what"),
    Command("doctor", "blackbox.cli.commands.doctor", "tell what works on this machine, what does not, and what to do"),
    Command("service", "blackbox.cli.commands.service", "have systemd keep the server running"),
    Command("release", "blackbox.cli.commands.release", "have the server release the GPU driver"),
    Command("resume", "blackbox.cli.commands.resume", "have the server reacquire the GPU driver"),
    Command("completion", "blackbox.cli.commands.completion", "print a script that completes this command line"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `blackbox`; returns its exit code."""
    return _run("blackbox", sys.argv[1:] if argv is None else argv)


def main_server(argv: Sequence[str] | None = None) -> int:
    """Runs `blackbox-server`, which is `blackbox serve`."""
    return _run("blackbox-server", ["serve", *(sys.argv[1:] if argv is None else argv)])


def build_parser(chosen: Sequence[str], prog: str = "blackbox", others: bool = True) -> ArgumentParser:
    """The parser of the whole command line, knowing the arguments of the `chosen` commands only; without the `others`
    it has these alone, which saves four milliseconds."""
    parser = _Parser(prog=prog, description="The flight recorder for GPU memory.", allow_abbrev=False)
    _add_version(parser)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True, title="commands")
    for command in COMMANDS:
        if command.name in chosen:
            sub = commands.add_parser(
                command.name, prog=prog if prog != "blackbox" else None, help=command.help, allow_abbrev=False
            )
            _configure(sub, _load(command))
        elif others:
            commands.add_parser(command.name, help=command.help)
    return parser


def command_parser(command: Command) -> ArgumentParser:
    """The parser of one command by itself."""
    parser = _Parser(prog=f"blackbox {command.name}", allow_abbrev=False)
    _configure(parser, _load(command))
    return parser


def _configure(parser: ArgumentParser, module: CommandModule) -> None:
    """Gives a command's parser what all commands have, and its own arguments."""
    parser.description = (cast(Any, module).__doc__ or "").strip()
    parser.formatter_class = HelpFormatter
    _add_version(parser)
    parser.add_argument("--log-level", choices=LOG_LEVELS, help="least to log on stderr (default: info)")
    module.configure(parser)


def _run(prog: str, argv: Sequence[str]) -> int:
    try:
        code = _dispatch(prog, argv)
        sys.stdout.flush()
    except UsageError as error:
        return _fail(prog, error, EXIT_USAGE)
    except FailureError as error:
        return _fail(prog, error, EXIT_FAILURE)
    except BrokenPipeError:
        # Whoever read our output has left; Python would complain when it flushes the rest at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_BROKEN_PIPE
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except Exception as error:
        return _fail_unexpectedly(prog, argv, error)
    return code


def _dispatch(prog: str, argv: Sequence[str]) -> int:
    if not argv and sys.stdout.isatty():
        print(WELCOME)
        return 0
    chosen = next((word for word in argv if not word.startswith("-")), None)
    _refuse_unknown_command(chosen)
    parser = build_parser([chosen] if chosen else [], prog, others=not argv or argv[0] != chosen)
    arguments, unknown = parser.parse_known_args(argv)
    command = next(command for command in COMMANDS if command.name == arguments.command)
    if unknown:
        _refuse_unknown(command, unknown)
    _refuse_lost_values(arguments)
    return _load(command).run(arguments)


def _refuse_unknown_command(name: str | None) -> None:
    from blackbox.model.text import did_you_mean

    names = [command.name for command in COMMANDS]
    if name is not None and name not in names:
        hint = did_you_mean(name, names) or f"; there are {', '.join(names)}"
        raise UsageError(f"there is no command {name!r}{hint} (see blackbox --help)")


def _refuse_unknown(command: Command, words: Sequence[str]) -> NoReturn:
    """Raises `UsageError` for words that the command does not know."""
    from blackbox.model.text import did_you_mean

    known = command_parser(command)._option_string_actions  # pyright: ignore[reportPrivateUsage]
    flag = next((word.partition("=")[0] for word in words if word.startswith("-")), None)
    hint = "" if flag is None else did_you_mean(flag, known)
    raise UsageError(f"unrecognized arguments: {' '.join(words)}{hint} (see blackbox {command.name} --help)")


def _refuse_lost_values(arguments: Namespace) -> None:
    """`--flag=--` loses its value on the way through argparse (Python 3.11), which then gives a list without any."""
    for key, value in vars(arguments).items():
        if key != REST and value in ([], [[]]):
            raise UsageError("'--' is not the value of an option")


def _load(command: Command) -> CommandModule:
    return cast(CommandModule, importlib.import_module(command.module))


def _fail(prog: str, error: Exception, code: int) -> int:
    say(f"{prog}: {' '.join(str(error).split())}", sys.stderr)
    return code


def _fail_unexpectedly(prog: str, argv: Sequence[str], error: Exception) -> int:
    if _debugging(argv):
        import traceback

        traceback.print_exception(error)
    text = f"{prog}: fault in Blackbox: {type(error).__name__}: {error} (--log-level debug tells where)"
    say(" ".join(text.split()), sys.stderr)
    return EXIT_FAILURE


def _debugging(argv: Sequence[str]) -> bool:
    flags = " ".join(argv).replace("=", " ")
    return "--log-level debug" in flags or os.environ.get("BLACKBOX_LOG_LEVEL") == "debug"


class _Parser(ArgumentParser):
    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **{"formatter_class": PlainHelpFormatter} | options)
        self._negative_number_matcher = _NO_FLAG

    def _check_value(self, action: Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            from blackbox.model.text import did_you_mean

            choices = [str(choice) for choice in action.choices]
            raise ArgumentError(
                action, f"invalid choice: {value!r} is none of {', '.join(choices)}{did_you_mean(str(value), choices)}"
            )

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see {self.prog} --help)")


class _Version(Action):
    def __call__(self, parser: ArgumentParser, *_: object) -> NoReturn:
        from importlib.metadata import version

        print(f"blackbox {version('blackbox-vram')}")
        parser.exit()


def _add_version(parser: ArgumentParser) -> None:
    parser.add_argument("-V", "--version", action=_Version, nargs=0, help="print the version and exit")
