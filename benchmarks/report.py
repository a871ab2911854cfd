"""Results kept as JSON, and the table people read, made from them."""

from pathlib import Path

import msgspec

from benchmarks.plan import Benchmark, Row

FOLDER = Path(__file__).parent
RESULTS = FOLDER / "results.json"
TABLE = FOLDER / "RESULTS.md"

_INTRODUCTION = """# Results

Written by `./run bench`; each part stands as its last run left it. Ours and the peer's were measured in turns in the
same run, on the same machine, by the same load, and the median round counts. The ratio is ours / the peer's. Servers
run on one core, the load on another. CPU is that of the server's process and its children, user and system, as the
kernel's scheduler counted it, to the nanosecond. `./run bench --long` adds the sizes that take minutes.
"""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One benchmark's last run."""

    measured_on: str
    """Date, UTC."""
    rounds: int
    seconds: float
    load_average: float | None
    """Of the last minute, when the run began: what else the machine had to do. None: nobody looked."""
    machine: dict[str, str]
    rows: list[Row]


def load() -> dict[str, Part]:
    """The parts kept so far, by benchmark."""
    if not RESULTS.exists():
        return {}
    return msgspec.json.decode(RESULTS.read_bytes(), type=dict[str, Part])


def keep(name: str, part: Part, *, replace: bool) -> dict[str, Part]:
    """Puts a part in its place; unless told to `replace`, figures measured before and not now (the long ones) stay."""
    parts = load()
    fresh = {row.figure for row in part.rows}
    kept = [row for row in parts[name].rows if row.figure not in fresh] if name in parts and not replace else []
    parts[name] = msgspec.structs.replace(part, rows=[*part.rows, *kept])
    RESULTS.write_bytes(msgspec.json.format(msgspec.json.encode(parts), indent=1) + b"\n")
    return parts


def render(parts: dict[str, Part], benchmarks: tuple[Benchmark, ...]) -> str:
    """The page."""
    sections = [_INTRODUCTION]
    sections += [_section(benchmark, parts[benchmark.name]) for benchmark in benchmarks if benchmark.name in parts]
    return "\n".join([*sections, _machines(parts)])


def table(rows: list[Row]) -> str:
    """Rows as a Markdown table."""
    lines = [
        "| figure | unit | ours | peer | peer's | ratio | target | met | note |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        met = {None: "", True: "yes", False: "**no**"}[row.met]
        cells = [
            row.figure,
            row.unit,
            number(row.ours),
            row.peer,
            number(row.theirs),
            number(row.ratio),
            row.target,
            met,
        ]
        lines.append("| " + " | ".join([*cells, row.note]) + " |")
    return "\n".join(lines) + "\n"


def number(value: float | None) -> str:
    """Three digits that matter."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _section(benchmark: Benchmark, part: Part) -> str:
    rounds = f"{part.rounds} rounds of {part.seconds:g} s"
    load = "not noted" if part.load_average is None else f"{part.load_average:.1f}"
    measured = f"{part.measured_on}, {rounds}; load average of the machine before: {load}."
    return f"## {benchmark.name}\n{benchmark.figure} Measured {measured}\n\n{table(part.rows)}"


def _machines(parts: dict[str, Part]) -> str:
    lines = ["## Machine"]
    described: dict[str, list[str]] = {}
    for name, part in parts.items():
        text = "; ".join(f"{key} {value}" for key, value in part.machine.items())
        described.setdefault(text, []).append(name)
    lines += [f"- {', '.join(names)}: {text}." for text, names in described.items()]
    return "\n".join(lines) + "\n"
