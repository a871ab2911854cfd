"""Every named limit with its reason, read from the sources: `python -m tests.limits_page > docs/limits.md`."""

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "blackbox"
LIMITS_FILE = PACKAGE / "server" / "http" / "limits.py"

NAME = re.compile(r"[A-Z][A-Z_]*_(MAX|MIN|SECONDS|BYTES|BURST|SHARE|PERCENT|RATIO)(_BASE|_MAX|_MIN)?")

PARTS = {
    "Other waits and limits of the server": ("server", "hub.py", "daemon.py", "settings.py"),
    "What agents may say": ("sources/agents", "wire"),
    "What an agent takes of its program": ("agent",),
    "Inference engines": ("sources/engines",),
    "What the kubelet may answer": ("sources/kubelet",),
    "The driver's process, and sampling": (
        "sources/isolation",
        "sampling",
        "sources/nvidia",
        "sources/nvml",
        "sources/pm_sampling",
    ),
    "The recording, dumps and events": ("recorder", "events"),
    "Files from elsewhere": ("sources/memory_snapshot", "sources/nsight_compute"),
    "The client": ("client",),
}
"""Heading -> modules and packages under src/blackbox."""

HEAD = """\
# Time-outs and limits

<!-- Made by `python -m tests.limits_page > docs/limits.md`; a test compares. -->

Whatever others can make grow or wait has a bound: a named constant in the code, with its reason. This page is read from
the code, so it says what is in force (`module.NAME`). Limits may change between versions; those that can be set are
flags of [`blackbox serve`](commands/serve.md). Who may do what in the first place is in [security](security.md).

How the server behaves at the edge of them:

- A request that is too long or malformed is answered 400, 413, 414 or 431 in one line, and the connection closes.
- Deadlines are looked at once a sweep. A connection past one is closed; a stream's client may come back with
  `Last-Event-ID` and gets what it missed, as far as that is kept.
- Where there are too many connections, streams or questions, the next one is answered 503 with `Retry-After`.
- Bytes that clients have not taken count in one budget for all, shared ones once. Over it those who hold more than
  their share are ended, then the slowest; large answers about the recording and new streams are answered 503 with
  `Retry-After`. Whoever has bytes waiting must take some kilobytes a second.
- A client that resumes a stream gets the kept moments one by one as it takes them; what has left the kept history
  meanwhile is counted as missed, and it is told.
- A stream's client that does not keep up gets the newest frame next, and is told how many it missed.
- A password is checked one at a time, on a thread of its own; who was found right before is not checked again until
  the web config changes.
- SIGTERM: no more connections, a last event for every stream, an end within 3 s, exit code 0.
"""


BACKSLASHED = r"\\\1"
"""Bars end cells, stars begin emphasis."""


class Named(NamedTuple):
    module: str
    name: str
    value: float
    reason: str


@cache
def page() -> str:
    """The whole page."""
    lines = [HEAD, "## One client of HTTP\n", *_table(_fields(LIMITS_FILE))]
    for heading, names in PARTS.items():
        found = [limit for name in names for path in _modules(PACKAGE / name) for limit in limits(path)]
        if found:
            lines += [f"## {heading}\n", *_table(sorted(found))]
    return "\n".join(lines)


def limits(path: Path) -> Iterator[Named]:
    """The constants of a module that bear a limit's name, are numbers and say why."""
    found = _documented(path, ast.parse(path.read_text()).body)
    yield from (one for one in found if NAME.fullmatch(one.name))


def _fields(path: Path) -> list[Named]:
    return [
        one
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.ClassDef)
        for one in _documented(path, node.body)
    ]


def _documented(path: Path, body: list[ast.stmt]) -> Iterator[Named]:
    """Assignments of numbers that are followed by a string."""
    for statement, after in pairwise(body):
        match statement, after:
            case (
                ast.Assign(targets=[ast.Name(id=name)], value=value)
                | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value),
                ast.Expr(value=ast.Constant(value=str() as reason)),
            ):
                number = _number(value)
                if number is not None:
                    yield Named(path.stem, name, number, " ".join(reason.split()))
            case _:
                pass


def _number(node: ast.expr) -> float | None:
    """What an expression of literals comes to; None where it is another."""
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            return value
        case ast.BinOp(left=left, op=op, right=right):
            one, other = _number(left), _number(right)
            if one is None or other is None:
                return None
            match op:
                case ast.Mult():
                    return one * other
                case ast.Pow():
                    return one**other
                case ast.LShift():
                    return int(one) << int(other)
                case ast.Add():
                    return one + other
                case ast.Sub():
                    return one - other
                case ast.Div():
                    return one / other
                case _:
                    return None
        case _:
            return None


def _modules(path: Path) -> list[Path]:
    return [path] if path.is_file() else sorted(path.rglob("*.py"))


def _table(found: list[Named]) -> Iterator[str]:
    yield "| limit | value | why |\n|---|---|---|"
    for limit in found:
        yield f"| `{limit.module}.{limit.name}` | {_shown(limit)} | {re.sub('([|*])', BACKSLASHED, limit.reason)} |"
    yield ""


def _shown(limit: Named) -> str:
    name, value = limit.name.lower(), limit.value
    per_second = "/s" if "per_second" in name else ""
    if "bytes" in name and not name.endswith(("_share", "_ratio")):
        return _bytes(int(value)) + per_second
    if "seconds" in name and not per_second:
        return f"{value:g} s"
    return (f"{value:,}" if isinstance(value, int) else f"{value:g}") + per_second


def _bytes(value: int) -> str:
    for unit, size in (("PiB", 2**50), ("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if value >= size and value % (size // 4) == 0:
            return f"{value / size:g} {unit}"
    return f"{value:,} bytes"


if __name__ == "__main__":
    sys.stdout.write(page())
