"""What goes on beside a server that is soaked: processes, agents and clients that come and go."""

import http.client
import random
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Self

from tests.agent_rig import agent_environment
from tests.fake_nvml import FakeDriver, Process

PATHS = (
    "/vram",
    "/vram?blocks=none",
    "/metrics",
    "/healthz",
    "/vram/events",
    "/vram/history?since=-5m",
    "/openapi.json",
)
AGENTS = 3
"""At once; each lives some seconds and makes and frees blocks all the while."""
AGENT_SECONDS_MAX = 12.0
SLEEPERS = 12
STREAMS = 10
"""Streams at once, that read some frames and leave, or come back for what they missed."""
SLOW_READERS = 5
SLOW_BYTES, SLOW_SECONDS = 256, 0.2
ANSWER_SECONDS_MAX = 10.0
CALLS_PER_SECOND = 20.0
PROGRAM = """
import random, time
import blackbox_heap as heap
end = time.monotonic() + {seconds}
while time.monotonic() < end:
    heap.alloc(512 * random.randint(1, 64))
    while len(heap.owners) > 300:
        del heap.owners[random.choice(list(heap.owners))]
    time.sleep(0.01)
"""


class Churn:
    """Threads that keep a server busy while the context lasts; `done` counts what each has done, `failed` what went
    wrong."""

    def __init__(self, port: int, driver: FakeDriver, agent_socket: str, seed: int) -> None:
        self.done: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self._port = port
        self._driver = driver
        self._socket = agent_socket
        self._seed = seed
        self._stopping = threading.Event()
        kinds: list[tuple[str, Callable[[random.Random], None]]] = [
            ("processes", self._processes),
            ("gets", self._get),
            *[("agents", self._agent)] * AGENTS,
            *[("streams", self._stream)] * STREAMS,
            *[("slow readers", self._slow_reader)] * SLOW_READERS,
        ]
        self._threads = [
            threading.Thread(target=self._repeat, args=(name, action, seed + number), daemon=True)
            for number, (name, action) in enumerate(kinds)
        ]
        self._sleepers: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(AGENT_SECONDS_MAX * 3)
        for sleeper in self._sleepers:
            sleeper.kill()
            sleeper.wait()

    def _repeat(self, name: str, action: Callable[[random.Random], None], seed: int) -> None:
        chance = random.Random(seed)
        while not self._stopping.is_set():
            try:
                action(chance)
                self.done[name] += 1
            except (OSError, http.client.HTTPException, ValueError) as error:
                self.failed[f"{name}: {type(error).__name__}"] += 1
                self._stopping.wait(1.0)

    def _processes(self, chance: random.Random) -> None:
        """Some end, some begin, and the driver lists those that live, each on a GPU of chance."""
        while len(self._sleepers) > chance.randint(0, SLEEPERS):
            gone = self._sleepers.pop(chance.randrange(len(self._sleepers)))
            gone.kill()
            gone.wait()
        while len(self._sleepers) < chance.randint(1, SLEEPERS):
            self._sleepers.append(subprocess.Popen(["sleep", "infinity"]))
        gpus = self._driver.machine.gpus
        for gpu in gpus:
            gpu.processes = []
        for sleeper in self._sleepers:
            chance.choice(gpus).processes.append(Process(pid=sleeper.pid))
        self._driver.write()
        self._stopping.wait(0.5)

    def _agent(self, chance: random.Random) -> None:
        program = PROGRAM.format(seconds=chance.uniform(1.0, AGENT_SECONDS_MAX))
        environment = agent_environment(Path(self._socket))
        subprocess.run([sys.executable, "-c", program], env=environment, check=False, capture_output=True)

    def _get(self, chance: random.Random) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=ANSWER_SECONDS_MAX)
        try:
            for _ in range(chance.randint(1, 20)):
                connection.request("GET", chance.choice(PATHS), headers={"Accept-Encoding": "gzip"})
                connection.getresponse().read()
                self._stopping.wait(1 / CALLS_PER_SECOND)
        finally:
            connection.close()

    def _stream(self, chance: random.Random) -> None:
        """Reads some frames, leaves, and at times comes back for what it missed."""
        last_id = self._read_stream(chance.randint(1, 50), None)
        self._stopping.wait(chance.uniform(0.0, 2.0))
        if last_id and chance.random() < 0.5:
            self._read_stream(chance.randint(1, 50), last_id)
            self.done["resumes"] += 1

    def _read_stream(self, frames: int, last_id: str | None) -> str | None:
        with ExitStack() as stack:
            connection = stack.enter_context(
                socket.create_connection(("127.0.0.1", self._port), timeout=ANSWER_SECONDS_MAX)
            )
            head = f"Last-Event-ID: {last_id}\r\n" if last_id else ""
            connection.sendall(f"GET /vram/stream HTTP/1.1\r\nHost: localhost\r\n{head}\r\n".encode())
            for line in stack.enter_context(connection.makefile("rb")):
                if line.startswith(b"id:"):
                    last_id = line[3:].strip().decode()
                    frames -= 1
                if frames <= 0 or self._stopping.is_set():
                    break
        return last_id

    def _slow_reader(self, chance: random.Random) -> None:
        """Takes a little now and then, and leaves in the middle of a frame."""
        with socket.create_connection(("127.0.0.1", self._port), timeout=ANSWER_SECONDS_MAX) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.sendall(b"GET /vram/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
            ends_at = time.monotonic() + chance.uniform(1.0, 20.0)
            while time.monotonic() < ends_at and not self._stopping.is_set():
                with suppress(TimeoutError):
                    if not connection.recv(SLOW_BYTES):
                        break
                self._stopping.wait(SLOW_SECONDS)
