"""The faults Blackbox survives and the tests that show it: `python -m tests.fault_table > docs/reliability.md`."""

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

TESTS = Path(__file__).parent

DRIVER = "Driver and GPU"
HTTP = "HTTP, streams, shutdown"
RECORDS = "Recording"
ENGINES = "Engines"
PEOPLE = "People"

FAULTS: dict[int, tuple[str, str, str]] = {
    1: (DRIVER, "no driver library", "starts, says so, and finds the library when it appears"),
    2: (DRIVER, "library and driver of different versions", "a named state; a fresh child loads the new library"),
    3: (DRIVER, "our handles keep the driver loaded", "lets go of every handle on request and when idle"),
    4: (DRIVER, "a GPU is lost", "that one is marked, the others go on"),
    5: (DRIVER, "a driver call hangs", "HTTP is not touched; the data is marked stale; the child is replaced"),
    6: (DRIVER, "the driver library crashes", "the child is replaced, as often as it takes"),
    7: (DRIVER, "a driver with other struct sizes", "the list is refused, not shown"),
    8: (DRIVER, "the driver does not tell a process's memory", "the row stays, its memory marked unknown"),
    9: (DRIVER, "no permission for one figure", "that figure is unknown with its reason, the rest is there"),
    10: (DRIVER, "pids of another namespace", "no wrong names; what cannot be named is unattributed"),
    11: (DRIVER, "a process ends while it is read", "never an error"),
    12: (DRIVER, "a pid is used again", "identity is pid and start time: no wrong name"),
    13: (DRIVER, "thousands of processes", "the list is complete"),
    14: (DRIVER, "the process list grows between two calls", "read again with room to spare"),
    15: (DRIVER, "MIG is reconfigured", "the new layout shows, the old ends, without a restart"),
    16: (DRIVER, "a GPU is unplugged and returns elsewhere", "identity is the UUID, whatever the index"),
    17: (DRIVER, "a container loses its GPUs", "a named state with a hint, and recovery"),
    18: (DRIVER, "profiling tools freeze GPUs", "no profiling call is made unless --gpm or --pm-sampling asks for it"),
    19: (DRIVER, "the wall clock jumps", "the cadence stays; order is by sequence number"),
    20: (DRIVER, "old data passed off as fresh", "every sample has its age; health fails with it"),
    21: (RECORDS, "the disk is full", "the live view goes on; recording pauses, says so, resumes; the gap stays a gap"),
    22: (RECORDS, "killed while it writes", "nothing that was committed is lost"),
    23: (RECORDS, "flipped and missing bytes in a file", "what is damaged is skipped and counted, the rest is read"),
    24: (RECORDS, "a power cut", "at most five seconds of history, no event"),
    25: (RECORDS, "no place to record", "serves and says so; with --require-record one line, exit 1"),
    26: (RECORDS, "two servers, one directory", "the second names the first and exits; a killed one holds nobody up"),
    27: (HTTP, "a client that never reads", "bounded memory, dropped in the end; others do not wait"),
    28: (HTTP, "thousands of idle streams, no file descriptors left", "refused with 503, and recovery"),
    29: (HTTP, "slow heads, slow bodies, idle sockets", "closed by deadlines"),
    30: (HTTP, "oversized URL, headers, body", "414, 431, 413, and no memory taken"),
    31: (HTTP, "malformed requests", "400 and close"),
    32: (HTTP, "clients gone in the middle of an answer", "the slot is free again"),
    33: (HTTP, "SIGTERM with streams open", "last event, flush, exit 0"),
    34: (HTTP, "the port is taken", "one line, exit 1, no GPU opened"),
    35: (ENGINES, "an engine is down, slow, endless, or talks nonsense", "asked within limits; nobody waits"),
    36: (PEOPLE, "an agent sends garbage, or floods", "it is cut off; memory stays bounded; the others are heard"),
    37: (PEOPLE, "an agent speaks for another user's process", "who speaks is what the kernel says, never the agent"),
    38: (PEOPLE, "links put in the place of the agents' socket", "nothing outside its folder is touched"),
    39: (PEOPLE, "secrets in command lines", "no argument of a program reaches an answer or the log"),
    40: (PEOPLE, "DNS rebinding, foreign web pages", "foreign Host or Origin: 403"),
    41: (PEOPLE, "open to the network without asking", "loopback alone, unless told otherwise"),
    42: (PEOPLE, "other users of the machine look", "nothing beyond what nvidia-smi shows them"),
    44: (
        HTTP,
        "clients that resume a stream and never read, or trickle",
        "kept moments are sent as the client takes them, shared by all; whoever takes too little is ended",
    ),
    45: (
        HTTP,
        "clients that never read a stream",
        "none has a copy of the frame; what waits is bounded for all together; first frames wait behind small requests",
    ),
    47: (RECORDS, "a user's program makes up failures, dated far ahead", "no dump of another user goes for its dumps"),
    48: (RECORDS, "noise after evidence", "some dumps of each kind stay; rests between dumps of one kind grow"),
    54: (RECORDS, "a dump made to take gigabytes", "what its lengths claim is checked against what is there"),
    46: (PEOPLE, "an agent floods failures", "unknown GPUs refused; budgets for each agent and user; drops counted"),
    51: (
        PEOPLE,
        "a crowd of one user's agents",
        "a place is taken from who has most; what a sample looks at is bounded",
    ),
    49: (
        PEOPLE,
        "an agent tells a number past the end of its range",
        "refused and counted; an event that cannot be encoded costs itself; recording goes on",
    ),
    53: (
        PEOPLE,
        "what another user's programs told of themselves",
        "shown to their owner, root and holders of the token alone, on every route, in metrics, events and history",
    ),
    52: (PEOPLE, "an agent claims more than there is", "capped by what the driver says; the excess is named"),
    50: (PEOPLE, "one probe tells an impossible figure", "that report is dropped, counted and named; the rest stays"),
    55: (RECORDS, "the data directory is open to every user", "each file of it is for its owner alone"),
    56: (HTTP, "times at the ends of the calendar in a query", "400 with the range"),
    57: (
        HTTP,
        "large answers to clients that never read",
        "counted in the same budget: the slowest are ended, new ones told to come back",
    ),
    58: (
        HTTP,
        "a flood of wrong passwords",
        "checked one at a time on a thread of their own; who was checked before does not wait",
    ),
    59: (HTTP, "SIGHUP", "reads the token, web config and TLS files again; where its terminal closed, as SIGTERM"),
    60: (
        HTTP,
        "very many formats of stream",
        "few are encoded on the sampler's thread, the others in turn beside it; sampling keeps its pace",
    ),
    61: (
        DRIVER,
        "the observer changes what it observes (a GPU in runtime suspend)",
        "one that sleeps is not asked, and says so; nothing that wakes, resets or uses up",
    ),
    62: (
        DRIVER,
        "one bad part beside good ones (a row of pid 0, a memory of 0 bytes)",
        "it is left out, named and counted; a list is refused only where every row is nonsense",
    ),
    63: (
        HTTP,
        "whoever asks for report after report, which take seconds each",
        "one is made at a time, on a thread of its own; history, events and charts do not wait for them",
    ),
    65: (
        PEOPLE,
        "a program whose name, script or interpreter is called so as to forge lines or command a terminal",
        "signs that do not print are ? from the first look on; a line of the log stays one line",
    ),
    64: (
        HTTP,
        "thousands of requests in one piece, from clients that never read",
        "those beyond the limit are not even parsed, and the connection ends",
    ),
    66: (
        PEOPLE,
        "files, links and directories of another user where the recording and its dumps go",
        "nothing is written into them, nor where they lead; it is recorded beside them",
    ),
    67: (
        PEOPLE,
        "another user's file says that some process is a server",
        "only a process of whoever wrote the file is believed, and so signalled",
    ),
    68: (
        PEOPLE,
        "a token, web config or TLS file that every user of the machine can change",
        "refused at the start; later the last good one stays in force",
    ),
    69: (
        PEOPLE,
        "programs whose names are chosen so that two lists of names have one checksum",
        "lists are compared whole: numbers are read under the names they were recorded with",
    ),
    70: (
        PEOPLE,
        "another user's process gets the pid, or the port, of an engine that was found",
        "it is not asked for it, and what it answered meanwhile is dropped: an answer is for the owner of who gave it",
    ),
    71: (
        RECORDS,
        "what writes a dump or rolls up the hour is killed",
        "named in one line; what was recorded is still there, and it is done again; a stop does not wait for it",
    ),
}
"""Row of the fault catalogue -> part, fault, what Blackbox does."""

HEAD = """\
# Reliability

<!-- Made by `python -m tests.fault_table > docs/reliability.md`; a test compares. -->

Each row of the fault catalogue that needs no hardware is made to happen by the tests named beside it, mostly on a fake
driver library that hangs, crashes, refuses and loses GPUs on command. In all of them the server keeps its pid, its JSON
stays valid, and no client sees a traceback. `./run test -m fault` runs them alone.
"""


def rows_tested() -> dict[int, list[str]]:
    """Row -> the tests marked with it, as `file::name`."""
    return marked_tests("fault")


@cache
def marked_tests(marker: str) -> dict[int, list[str]]:
    """Number that a marker bears -> the tests marked so, as `file::name`."""
    found: defaultdict[int, list[str]] = defaultdict(list)
    for path in sorted(TESTS.rglob("test_*.py")):
        text = path.read_text()
        if f"mark.{marker}(" not in text:
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                for row in _rows(node, marker):
                    found[row].append(f"{path.relative_to(TESTS)}::{node.name}")
    return found


def _rows(test: ast.FunctionDef | ast.AsyncFunctionDef, marker: str) -> Iterator[int]:
    """The rows in `@pytest.mark.MARKER(row)` above a test."""
    for decorator in test.decorator_list:
        match decorator:
            case ast.Call(func=ast.Attribute(attr=name), args=[ast.Constant(value=int() as row)]) if name == marker:
                yield row
            case _:
                pass


def page() -> str:
    """The whole page."""
    found = rows_tested()
    lines = [HEAD]
    for part in (DRIVER, RECORDS, HTTP, ENGINES, PEOPLE):
        lines.append(f"## {part}\n\n| Row | Fault | What Blackbox does | Tests |\n|---|---|---|---|")
        for row, (of_part, fault, answer) in FAULTS.items():
            if of_part == part:
                tests = "<br>".join(f"`{test}`" for test in found.get(row, [])) or "missing"
                lines.append(f"| {row} | {fault} | {answer} | {tests} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(page())
