"""`blackbox run` at a terminal: a line before the program, whether anything is recorded, and one after it, what was."""

import os
import resource
import signal
import sys
import time
from argparse import Namespace
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from blackbox import launch
from blackbox.agent.bootstrap import is_off
from blackbox.agent.settings import read_settings
from blackbox.cli.common import server_arguments
from blackbox.cli.common.agent_socket import listens
from blackbox.cli.common.child import EXIT_SIGNAL_BASE, run_to_end
from blackbox.cli.common.paragraphs import say
from blackbox.client import Client, ClientError
from blackbox.errors import BlackboxError
from blackbox.model.query import History, NumberedEvent
from blackbox.model.snapshot import Snapshot
from blackbox.model.text import size
from blackbox.terminal.figures import clock, plural, span
from blackbox.terminal.ledger import gpu_labels, place_label
from blackbox.wire.address import agent_paths

FAILURES = ("oom", "crash")
SIMULATED = "the server that answers is a demo: it shows a simulated machine, and sees no program of this one"
NO_SERVER = "no server listens, so nothing is recorded; 'blackbox serve' in another terminal records from then on"


class Listening(NamedTuple):
    """What was found before the program began."""

    client: Client | None
    """Of the server that answers; None without one."""
    snapshot: Snapshot | None
    agents: bool
    """Whether it, or any, listens to agents."""


def run(program: Sequence[str], environ: Mapping[str, str]) -> int:
    """Runs the program to its end; ends as it did. Raises `ValueError` for words that no program can be given."""
    found = _find(environ)
    _say(first_line(found, environ))
    began = time.time()
    try:
        ended = run_to_end(program, environ)
    except OSError as error:
        _say(f"{program[0]}: {error.strerror}")
        return launch.EXIT_NOT_FOUND if isinstance(error, FileNotFoundError) else launch.EXIT_NOT_EXECUTABLE
    if found.client is not None and not (found.snapshot is not None and found.snapshot.simulated):
        labels = {} if found.snapshot is None else gpu_labels(found.snapshot)
        _say(_last_line(found.client, ended.pid, began, environ, labels))
    return ended.code if ended.code >= 0 else _end_by(-ended.code)


def first_line(found: Listening, environ: Mapping[str, str]) -> str:
    """Whether a server listens, and what it sees."""
    if found.snapshot is None:
        if found.agents:
            return "a server listens to the program; it does not answer questions here, so what it sees is not told"
        return NO_SERVER
    gpus = sum(gpu.parent_uuid is None for gpu in found.snapshot.gpus)
    sees = f"a server listens and sees {plural(gpus, 'GPU')}"
    if found.snapshot.simulated:
        return f"{SIMULATED}; 'blackbox serve' records"
    if not gpus:
        return "a server listens, but sees no GPU; 'blackbox doctor' tells why"
    if is_off(environ):
        return f"{sees}; BLACKBOX_AGENT keeps the agent out, so it is told what the driver tells, and no more"
    if not found.agents:
        return f"{sees}, but takes no reports of this user's programs: it records what the driver tells, and no more"
    return f"{sees}; what the program holds is recorded"


def last_line(
    history: History,
    events: Sequence[NumberedEvent],
    pid: int,
    began: float,
    ended: float,
    *,
    stacks: bool,
    labels: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """What was recorded of the process `pid`, and the command that shows it. `labels`: names of GPUs, by UUID."""
    failed = [event for event in events if event.kind in FAILURES and event.timestamp >= began]
    held = [(high, one) for one in history.series if one.pid == pid for _, _, _, high in one.points if high is not None]
    if not held and not failed:
        return f"recorded {span(ended - began)}; process {pid} used no GPU that the server sees. Next: blackbox agents"
    text = f"recorded {span(ended - began)}"
    if held:
        most, where = max(held, key=lambda one: one[0])
        place = "the GPUs" if where.gpu is None else place_label(labels, where.gpu_uuid or "", where.gpu)
        text += f": process {pid} held {size(most)} of {place} at most"
    if failed:
        last = failed[-1]
        what = "ran out of memory" if last.kind == "oom" else "crashed"
        who = "it" if last.pid == pid else f"process {last.pid} of this user"
        more = "" if stacks else "; --extras history would tell the stacks"
        return f"{text}; {who} {what} at {clock(last.timestamp, ended)}{more}. Next: blackbox report"
    return f"{text}. Next: blackbox history --from {clock(began, ended)[-8:]} --pid {pid}"


def _last_line(client: Client, pid: int, began: float, environ: Mapping[str, str], labels: Mapping[str, str]) -> str:
    ended = time.time()
    stacks = "history" in read_settings(environ).extras
    try:
        history = client.history(since=began - 1, until=ended + 1, pid=pid)
        failures = client.events(since=began, kind=FAILURES, detail="light")
        events = [one for one in failures if one.pid == pid or one.uid == os.getuid()]
    except ClientError as error:
        return f"what was recorded is not known: {error}"
    return last_line(history, events, pid, began, ended, stacks=stacks, labels=labels)


def _find(environ: Mapping[str, str]) -> Listening:
    agents = any(map(listens, agent_paths(environ, os.getuid())))
    try:
        client = server_arguments.client(Namespace(url=None, unix_socket=None))
        return Listening(client, client.snapshot(blocks="none"), agents)
    except BlackboxError:
        return Listening(None, None, agents)


def _say(text: str) -> None:
    say(f"blackbox: {text}", sys.stderr)


def _end_by(number: int) -> int:
    """Ends by the signal that ended the program, so that whoever waits for us sees the same; without a core of ours."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    sys.stdout.flush()
    if number != signal.SIGKILL:
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    return EXIT_SIGNAL_BASE + number
