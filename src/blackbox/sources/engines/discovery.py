"""Finds servers worth asking: ports that listen in the company of a process on the GPU.

Only where the company's command lines name an engine is any port asked at all: an unexpected question may harm
a port that does not speak HTTP, such as those by which workers of a training job meet.
"""

import os
import re
from collections import Counter
from collections.abc import Collection, Mapping
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from blackbox.sources.engines.adapters import ADAPTERS
from blackbox.sources.engines.address import Address
from blackbox.sources.engines.listeners import listening, network, ports
from blackbox.sources.proc.table import ProcessEntry
from blackbox.sources.proc.tree import Commands, ProcessTree

CANDIDATES_MAX = 64
"""Ports asked at the same time."""
COMMANDS_REMEMBERED = 4096
"""Different command lines of which it is known whether they name an engine; all that a machine with GPUs runs."""
INNER = re.compile(r"(?:VLLM|sglang)::(?!.*(?:API|HTTP))", re.IGNORECASE)
"""Titles of workers, whose ports are for each other."""
ENGINE_CORE = re.compile(r"VLLM::EngineCore(?:_DP(\d+))?")
"""Title of the process that runs one vLLM engine, with its data-parallel rank."""

CandidateKey = tuple[Address, int, int]


class Candidate(NamedTuple):
    """A port that may be an engine's."""

    address: Address
    pid: int
    """Who listens there."""
    start_ticks: int
    kinds: tuple[str, ...]
    """Of engines named by the command lines around it."""
    gpu_pids: tuple[int, ...]
    """The processes on the GPU that it belongs to."""
    engine_pids: Mapping[str, int]
    """Rank -> the process that runs this vLLM engine, where titles tell."""
    rank_pids: Mapping[str, tuple[int, ...]]
    """Rank -> those of `gpu_pids` that this process is or has started."""
    sockets: frozenset[int]
    """Inodes of those that it listens there with: another process may listen there any time later."""
    uid: int | None = None
    """Whose process it is; None where that is not known."""

    @property
    def key(self) -> CandidateKey:
        """Which server on which port."""
        return self.address, self.pid, self.start_ticks


class Discovery(NamedTuple):
    candidates: tuple[Candidate, ...]
    unseen: int
    """Processes whose ports cannot be seen, or are in another network namespace."""


def discover(
    gpu_pids: Collection[int],
    root: Path = Path("/proc"),
    commands: Commands | None = None,
    processes: Mapping[int, ProcessEntry] | None = None,
) -> Discovery:
    """The ports to ask, by the processes on the GPU. `commands` are those of earlier looks; `processes`, by pid, those
    of the machine (None: read now)."""
    if not gpu_pids:
        return Discovery((), 0)
    return _discover(gpu_pids, root, ProcessTree(root, commands, processes))


def _discover(gpu_pids: Collection[int], root: Path, processes: ProcessTree) -> Discovery:
    near = processes.related(gpu_pids)
    if not any(_named(processes.command(pid)) for pid in processes.with_descendants(near)):
        return Discovery((), 0)  # as mostly; what follows goes through the descendants of each
    servers = {pid: kinds for pid in sorted(near - {os.getpid()}) if (kinds := _kinds(pid, processes))}
    return _candidates(servers, gpu_pids, processes, root) if servers else Discovery((), 0)


def _candidates(
    servers: Mapping[int, tuple[str, ...]], gpu_pids: Collection[int], processes: ProcessTree, root: Path
) -> Discovery:
    sockets, here = listening(root), network(root, "self")
    candidates: dict[Address, Candidate] = {}
    unseen = 0
    for pid, kinds in servers.items():
        found = ports(root, pid, sockets) if network(root, pid) == here else None
        if found is None:
            unseen += 1
            continue
        uid = processes.uid(pid)
        if not processes.is_same(pid):
            continue  # its pid is another's by now, and what is known of it is not about that one
        group = _group(pid, gpu_pids, processes)
        engine_pids = _engine_pids(group, processes)
        for address in sorted(found.keys() - candidates.keys()):
            candidates[address] = Candidate(
                address=address,
                pid=pid,
                start_ticks=processes.start_ticks(pid),
                kinds=kinds,
                gpu_pids=tuple(sorted(group.intersection(gpu_pids))),
                engine_pids=engine_pids,
                rank_pids={
                    rank: tuple(sorted({*processes.tree(core)}.intersection(gpu_pids)))
                    for rank, core in engine_pids.items()
                },
                sockets=found[address],
                uid=uid,
            )
    return Discovery(tuple(candidates.values())[:CANDIDATES_MAX], unseen)


def _kinds(pid: int, processes: ProcessTree) -> tuple[str, ...]:
    """The engines that a process may serve: those named by its own command line or by what it started."""
    if INNER.match(processes.command(pid)):
        return ()
    named = {kind for member in processes.tree(pid) for kind in _named(processes.command(member))}
    return tuple(adapter.kind for adapter in ADAPTERS if adapter.kind in named) if named else ()


@lru_cache(COMMANDS_REMEMBERED)
def _named(command: str) -> tuple[str, ...]:
    """The engines that a command line names."""
    return tuple(adapter.kind for adapter in ADAPTERS if adapter.programs.search(command))


def _group(pid: int, gpu_pids: Collection[int], processes: ProcessTree) -> frozenset[int]:
    """The smallest family of a server that is on the GPU; else its session, which outlives the family tree."""
    for above in (pid, *processes.ancestors(pid)):
        family = frozenset(processes.tree(above))
        if not family.isdisjoint(gpu_pids):
            return family
    return frozenset(processes.session(pid))


def _engine_pids(group: Collection[int], processes: ProcessTree) -> Mapping[str, int]:
    titles = [(pid, ENGINE_CORE.match(processes.command(pid))) for pid in group]
    ranks = [(title[1] or "0", pid) for pid, title in titles if title]
    often = Counter(rank for rank, _ in ranks)
    return {rank: pid for rank, pid in ranks if often[rank] == 1}
