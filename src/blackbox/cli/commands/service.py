"""Have systemd keep the server running: show the unit, install it, or remove it.

  print      writes the unit to standard output, and changes nothing
  install    writes it where systemd looks; starts nothing unless --start is given
  uninstall  stops the server and removes the unit; the recording stays

As root it is a service of the machine, with a user of its own; otherwise a service of yours. What follows -- is given
to 'blackbox serve':

  blackbox service install --start -- --threshold 90
"""

import os
import shutil
import subprocess
import sys
from argparse import REMAINDER, SUPPRESS, ArgumentParser, Namespace
from pathlib import Path

from blackbox.cli.common import systemd_unit
from blackbox.errors import FailureError, UsageError

SYSTEMCTL_SECONDS_MAX = 120.0
"""systemd's own limit for a start is 90 s."""
UNIT_BYTES_MAX = 1024 * 1024
"""A unit is some dozens of lines."""


ACTIONS = {
    "print": "write the unit to standard output",
    "install": "write it where systemd looks",
    "uninstall": "stop the server and remove the unit",
}


def configure(parser: ArgumentParser) -> None:
    """What to do, for whom, and the server's own flags."""
    _add_flags(parser, default=False)
    actions = parser.add_subparsers(dest="action", metavar="{print,install,uninstall}", required=True)
    for name, text in ACTIONS.items():
        action = actions.add_parser(name, help=text, allow_abbrev=False)
        _add_flags(action, default=SUPPRESS)
        action.add_argument("program", nargs=REMAINDER, metavar="-- ARGUMENTS", help="of 'blackbox serve'")


def _add_flags(parser: ArgumentParser, default: object) -> None:
    """Before the action or behind it; what is said at neither place is `default`."""
    whose = parser.add_mutually_exclusive_group()
    for flag, text in (
        ("--system", "a service of the machine (default as root)"),
        ("--user", "a service of this user (default otherwise)"),
    ):
        whose.add_argument(flag, action="store_true", default=default, help=text)
    parser.add_argument(
        "--start", action="store_true", default=default, help="with install: start it now, and at every boot"
    )


def run(arguments: Namespace) -> int:
    """Shows, installs or removes the unit."""
    words: list[str] = arguments.program
    if words and words[0] != "--":
        raise UsageError(f"{words[0]!r}: arguments of the server follow --")
    words = words[1:]
    system = arguments.system or (os.geteuid() == 0 and not arguments.user)
    if arguments.start and arguments.action != "install":
        raise UsageError("--start goes with install")
    path = systemd_unit.unit_path(system=system, environ=os.environ, home=Path.home())
    if arguments.action == "uninstall":
        if words:
            raise UsageError("uninstall takes no arguments of the server")
        return _uninstall(path, system)
    text = systemd_unit.unit(systemd_unit.own_program(), words, system=system, loopback=_stays_on_this_machine(words))
    if arguments.action == "print":
        print(text, end="")
        return 0
    return _install(path, text, system=system, start=arguments.start)


def _stays_on_this_machine(words: list[str]) -> bool:
    """Whether a server with these arguments speaks to this machine alone. Raises `UsageError` where they are wrong, as
    'blackbox serve' would."""
    from blackbox.cli import COMMANDS, command_parser
    from blackbox.cli.common.settings_file import load_settings
    from blackbox.settings import LOOPBACK

    command = next(command for command in COMMANDS if command.name == "serve")
    arguments = command_parser(command).parse_args(words)
    settings = load_settings(arguments, {})
    sends = settings.notify or settings.notify_file or settings.otlp or settings.fleet or settings.fleet_read
    outside = sends or "engine" in settings.source_options
    return {*settings.hosts} <= {*LOOPBACK, "localhost"} and not outside


def _install(path: Path, text: str, *, system: bool, start: bool) -> int:
    control = _control(system)
    if systemd_unit.PASSING.search(sys.executable):
        raise FailureError(
            f"{sys.executable} is an environment of uvx, which its cache may lose: "
            "install first, with 'uv tool install blackbox-vram' or pipx"
        )
    before = _read(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}.new")
        beside.write_text(text)
        beside.chmod(0o644)
        beside.replace(path)
    except OSError as error:
        raise _cannot("write", path, error, system) from None
    print(f"{'written' if before is None else 'replaced'}: {path}")
    _call([*control, "daemon-reload"])
    if start:
        _call([*control, "enable", "blackbox"])
        _call([*control, "restart", "blackbox"])
        print("the server runs, and will at every " + ("boot" if system else "login"))
        return 0
    print(f"nothing was started; to start it now, and at every {'boot' if system else 'login'}:")
    print(f"  {' '.join(control)} enable --now blackbox")
    return 0


def _uninstall(path: Path, system: bool) -> int:
    control = _control(system)
    if _read(path) is None:
        raise FailureError(f"{path}: there is none to remove")
    if not os.access(path.parent, os.W_OK):
        raise _cannot("remove", path, PermissionError(0, "Permission denied"), system)
    _call([*control, "disable", "--now", "blackbox"])
    try:
        path.unlink()
    except OSError as error:
        raise _cannot("remove", path, error, system) from None
    _call([*control, "daemon-reload"])
    print(f"removed: {path}; the recording stays in {'/var/lib/blackbox' if system else '~/.local/state/blackbox'}")
    return 0


def _control(system: bool) -> list[str]:
    if shutil.which("systemctl") is None:
        raise FailureError("there is no systemctl here: 'blackbox service print' shows what systemd would be told")
    return ["systemctl"] if system else ["systemctl", "--user"]


def _read(path: Path) -> str | None:
    """The unit that is there, None where there is none. Raises `FailureError` where it is none of ours."""
    try:
        with path.open() as file:
            found = file.read(UNIT_BYTES_MAX)
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise FailureError(f"{path}: {error}") from None
    if not found.startswith(systemd_unit.MARK):
        raise FailureError(f"{path} was not written by 'blackbox service install', and is left as it is")
    return found


def _call(command: list[str]) -> None:
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=SYSTEMCTL_SECONDS_MAX,
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise FailureError(f"{' '.join(command)} took more than {SYSTEMCTL_SECONDS_MAX:g} s") from None
    if done.returncode != 0:
        said = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        raise FailureError(f"{' '.join(command)}: {said}")


def _cannot(what: str, path: Path, error: OSError, system: bool) -> FailureError:
    hint = " (as root it can; --user is for you alone)" if system and isinstance(error, PermissionError) else ""
    return FailureError(f"cannot {what} {path}: {error.strerror}{hint}")
