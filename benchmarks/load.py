"""Thousands of event-stream clients in one process, each held to account: every event, or told what it missed.

Run as a program: `python -m benchmarks.load '{"port": ..., "path": ..., ...}'` prints one `Delivery` as JSON.
"""

import re
import resource
import select
import socket
import sys
import time

import msgspec

from benchmarks.harness import cpu_seconds, memory

CLIENTS_PER_ADDRESS = 4000
"""Well below the 28,000 ports the kernel hands out per pair of addresses."""
CONNECT_AT_ONCE = 100
"""Connections opened between two looks at what has arrived."""
QUIET_SECONDS = 0.03
"""Silence after a burst of frames: the window starts and ends between two bursts."""
QUIET_WAIT_SECONDS_MAX = 3.0
CONNECT_SECONDS_MAX = 60.0
READ_BYTES = 65536
_BIND_ADDRESS_NO_PORT = getattr(socket, "IP_BIND_ADDRESS_NO_PORT", 24)
_END_OF_EVENT = b"\n\n"
_END_OF_HEAD = b"\r\n\r\n"


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """What to ask for."""

    port: int
    path: str
    clients: int
    seconds: float
    server_pid: int
    """Whose CPU time, with its children's, is taken over the same window."""
    seq_pattern: str = r"^id: (\d+)"
    """Finds an event's number; events are numbered without gaps."""
    missed_pattern: str = r"^: missed (\d+)"
    """Finds how many events the server says it left out."""


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """What all clients together received in the window."""

    clients: int
    seconds: float
    events: int
    bytes: int
    event_bytes: int
    """Size of the largest event."""
    lost: int
    """Numbers skipped, over all clients."""
    told: int
    """Events the server said it left out."""
    behind: int
    """Clients that ended more than one event behind the newest."""
    broken: int
    """Connections refused, or ended by the server."""
    server_cpu_seconds: float
    server_rss: int
    server_pss: int
    load_cpu_seconds: float

    @property
    def frames_per_second(self) -> float:
        """Per client."""
        return self.events / self.clients / self.seconds

    @property
    def cpu_microseconds(self) -> float:
        """Server CPU per delivered event."""
        return self.server_cpu_seconds / self.events * 1e6 if self.events else float("nan")

    @property
    def accounted(self) -> bool:
        """Every client got every event, or was told how many it missed."""
        return self.broken == 0 and self.behind == 0 and self.lost <= self.told


class Client:
    """Cuts one client's bytes into events and follows their numbers. Holds at most one unfinished event."""

    __slots__ = ("_head_seen", "_rest", "events", "last", "lost", "told")

    def __init__(self) -> None:
        self._head_seen = False
        self._rest = b""
        self.events = 0
        self.last: int | None = None
        self.lost = 0
        self.told = 0

    def feed(self, data: bytes, seq: re.Pattern[bytes], missed: re.Pattern[bytes]) -> int:
        """Takes what arrived; the size of the largest event completed by it, 0 when none was."""
        if self._rest:
            data = self._rest + data
            self._rest = b""
        if not self._head_seen:
            head, found, data = data.partition(_END_OF_HEAD)
            if not found:
                self._rest = head
                return 0
            if not head.startswith(b"HTTP/1.1 200"):
                raise ConnectionError(head.split(b"\r\n")[0].decode())
            self._head_seen = True
        largest = 0
        start = 0
        while (end := data.find(_END_OF_EVENT, start)) >= 0:
            largest = max(largest, self._event(data[start : end + 2], seq, missed))
            start = end + 2
        self._rest = data[start:]
        return largest

    def _event(self, event: bytes, seq: re.Pattern[bytes], missed: re.Pattern[bytes]) -> int:
        if told := missed.search(event):
            self.told += int(told[1])
        numbered = seq.search(event)
        if numbered is None:
            return 0
        number = int(numbered[1])
        if self.last is not None:
            self.lost += number - self.last - 1
        self.last = number
        self.events += 1
        return len(event)


class Crowd:
    """All clients, on one epoll."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._seq = re.compile(load.seq_pattern.encode(), re.MULTILINE)
        self._missed = re.compile(load.missed_pattern.encode(), re.MULTILINE)
        self._epoll = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        self._clients: dict[int, Client] = {}
        self._broken = 0
        self._bytes = 0
        self._event_bytes = 0

    def connect(self) -> None:
        """Opens every stream and returns when each has had its first event (or was refused)."""
        request = f"GET {self._load.path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n".encode()
        for number in range(self._load.clients):
            self._open(number, request)
            if number % CONNECT_AT_ONCE == CONNECT_AT_ONCE - 1:
                self._read(0)
        deadline = time.monotonic() + CONNECT_SECONDS_MAX
        while any(client.last is None for client in self._clients.values()) and time.monotonic() < deadline:
            self._read(0.1)

    def measure(self) -> Delivery:
        """Reads for the wanted time, from between two bursts to between two bursts."""
        self._wait_for_quiet()
        for client in self._clients.values():
            client.events = client.lost = client.told = 0
        self._bytes = 0
        started, cpu, own = time.monotonic(), cpu_seconds(self._load.server_pid), time.process_time()
        deadline = started + self._load.seconds
        while (left := deadline - time.monotonic()) > 0:
            self._read(left)
        cpu = cpu_seconds(self._load.server_pid) - cpu
        own, seconds = time.process_time() - own, time.monotonic() - started
        held = memory(self._load.server_pid)
        clients = self._clients.values()
        newest = max((client.last or 0 for client in clients), default=0)
        return Delivery(
            clients=self._load.clients,
            seconds=seconds,
            events=sum(client.events for client in clients),
            bytes=self._bytes,
            event_bytes=self._event_bytes,
            lost=sum(client.lost for client in clients),
            told=sum(client.told for client in clients),
            behind=sum((client.last or 0) < newest - 1 for client in clients),
            broken=self._broken,
            server_cpu_seconds=cpu,
            server_rss=held.rss,
            server_pss=held.pss,
            load_cpu_seconds=own,
        )

    def close(self) -> None:
        """Ends every connection."""
        for connection in self._sockets.values():
            connection.close()
        self._epoll.close()

    def _open(self, number: int, request: bytes) -> None:
        connection = socket.socket()
        connection.setsockopt(socket.IPPROTO_IP, _BIND_ADDRESS_NO_PORT, 1)
        try:
            connection.bind((f"127.0.0.{1 + number // CLIENTS_PER_ADDRESS}", 0))
            connection.connect(("127.0.0.1", self._load.port))
            connection.sendall(request)
        except OSError:
            connection.close()
            self._broken += 1
            return
        connection.setblocking(False)
        handle = connection.fileno()
        self._sockets[handle] = connection
        self._clients[handle] = Client()
        self._epoll.register(handle, select.EPOLLIN)

    def _wait_for_quiet(self) -> None:
        deadline = time.monotonic() + QUIET_WAIT_SECONDS_MAX
        while not self._read(QUIET_SECONDS) and time.monotonic() < deadline:
            pass
        while self._read(QUIET_SECONDS) and time.monotonic() < deadline:
            pass

    def _read(self, timeout: float) -> bool:
        """Reads what is there, waiting for it at most so long; whether there was anything."""
        ready = self._epoll.poll(timeout)
        for handle, _ in ready:
            try:
                data = self._sockets[handle].recv(READ_BYTES)
                if not data:
                    raise ConnectionError("ended by the server")
                self._bytes += len(data)
                size = self._clients[handle].feed(data, self._seq, self._missed)
                self._event_bytes = max(self._event_bytes, size)
            except BlockingIOError:
                continue
            except OSError:
                self._drop(handle)
        return bool(ready)

    def _drop(self, handle: int) -> None:
        self._broken += 1
        self._epoll.unregister(handle)
        self._sockets.pop(handle).close()
        del self._clients[handle]


def main() -> None:
    """Runs one load given as JSON and prints its delivery."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    crowd = Crowd(msgspec.json.decode(sys.argv[1], type=Load))
    try:
        crowd.connect()
        print(msgspec.json.encode(crowd.measure()).decode())
    finally:
        crowd.close()


if __name__ == "__main__":
    main()
