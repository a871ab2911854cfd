"""The source of everything that agents tell from inside the programs."""

import os
import time
from collections.abc import Callable, Collection
from pathlib import Path

from blackbox.model.sample import Sample
from blackbox.paths import runtime_directory
from blackbox.sources.agents import AGENT_SOCKET, SOCKET
from blackbox.sources.agents.kv_pools import Pools
from blackbox.sources.agents.listener import AgentServer
from blackbox.sources.agents.sample_parts import Allocators, engines, kernels, of_users, oom_event
from blackbox.sources.agents.unix_socket import UnixListener, UnixListenerError
from blackbox.sources.base import SourceContext
from blackbox.sources.proc.processes import Procfs
from blackbox.sources.proc.threads import Tasks
from blackbox.wire.address import NAME

QUIET_SECONDS = 0.8
"""Between samples while no agent is there, and none was there lately."""
OWN_USER, ALL_USERS = 0o600, 0o666
"""Permissions of the socket."""


class AgentSource:
    """Listens from the first sample until `close`; agents find it by themselves, again and again."""

    name = "agents"

    def __init__(
        self,
        path: Path,
        mode: int,
        proc: Path = Path("/proc"),
        clock: Callable[[], float] = time.monotonic,
        gpu_uuids: Callable[[], Collection[str]] = tuple,
    ) -> None:
        """Listens at `path`, a socket with permissions `mode`. `gpu_uuids`: the devices that drivers list now; what is
        told of others is refused, while there are any."""
        self._gpu_uuids = gpu_uuids
        self._path = path
        self._mode = mode
        self._procfs = Procfs(proc)
        self._tasks = Tasks(proc)
        self._clock = clock
        self._listener: UnixListener | None = None
        self._server: AgentServer | None = None
        self._pools = Pools()
        self._allocators = Allocators(self._tasks)

    @property
    def quiet_seconds(self) -> float:
        server = self._server
        return QUIET_SECONDS if server is not None and server.is_idle else 0.0

    def sample(self) -> Sample:
        """What all agents have said so far, with its age."""
        try:
            server = self._server or self._open()
        except UnixListenerError as error:
            # the figures of the driver are whole without agents: nobody should be told to restart the server
            return Sample(source=self.name, taken_at=self._clock(), state="degraded", reason=str(error))
        with server.lock:
            now = self._clock()
            server.gpus.update(self._gpu_uuids())
            server.drop_gone()
            connections = tuple(server.connections.values())
            return Sample(
                source=self.name,
                taken_at=now,
                allocators=tuple(self._allocators.parts(self._pools.join(connections), now)),
                kernels=tuple(kernels(connections)),
                engines=tuple(engines(connections, now)),
                events=tuple(oom_event(oom.connection, oom.message, oom.at) for oom in server.take_ooms()),
                process_exits=server.process_exits(),
                cost={
                    "agents": len(connections),
                    "agents_cut_off_total": server.cut_off,
                    "frames_total": server.frames_gone + sum(connection.frames for connection in connections),
                    **server.refusals.cost(),
                    "bytes_total": server.bytes_gone + sum(connection.bytes for connection in connections),
                },
                facts=dict((SOCKET.stated(os.fspath(self._path)),)),
                of_users=tuple(of_users(connections, server.refusals.named(now))),
            )

    def close(self) -> None:
        """Stops listening; agents go on looking for us."""
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def _open(self) -> AgentServer:
        self._listener = UnixListener(self._path, self._mode)
        self._server = AgentServer(self._listener.socket, self._procfs, self._tasks, self._clock)
        return self._server


def make(context: SourceContext) -> AgentSource:
    """The source at the place that the settings name, or where agents look by themselves."""
    for_all = os.geteuid() == 0 or "RUNTIME_DIRECTORY" in os.environ
    path = AGENT_SOCKET.of(context.options) or runtime_directory() / NAME
    return AgentSource(path, ALL_USERS if for_all else OWN_USER, gpu_uuids=context.gpu_uuids)
