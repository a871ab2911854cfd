"""A real vLLM server on the CPU, without weights, with the agent in it by `blackbox run`."""

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import psutil
import pytest

from tests import vllm_environment
from tests.fake_nvml import FakeDriver, Gpu, Process, gpu_uuid
from tests.running_server import RunningServer, environment
from tests.waiting import PATIENCE_SECONDS, until

MODEL = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": 259,
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 64,
    "max_position_embeddings": 512,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "hidden_act": "silu",
    "bos_token_id": 1,
    "eos_token_id": 2,
    "tie_word_embeddings": True,
    "torch_dtype": "float32",
}
"""Of bfloat16, vLLM 0.32.0 takes instructions of AMX, which a virtual machine may name and yet not let it use."""
PAGES = 96
LAYERS = 2
PAGE_TOKENS = 32
LAYER_PAGE_BYTES = 2 * PAGE_TOKENS * 2 * 64 * 4
"""Keys and values of 32 tokens, 2 heads, 64 numbers of 4 bytes."""
POOL_BYTES = PAGES * LAYERS * LAYER_PAGE_BYTES
WEIGHT_BYTES_MIN = 4 * 259 * 256
"""Of the embedding alone."""
HURRIED = {"BLACKBOX_AGENT_INTERVAL": "0.05", "BLACKBOX_AGENT_BUDGET": "50"}
START_SECONDS_MAX = 240.0
STOP_SECONDS_MAX = 30.0
USED_BYTES = 300 << 20
"""What the driver gives the worker: the pool, the weights, and what nobody explains."""


class Watched(NamedTuple):
    """Blackbox on one GPU of the fake driver, which tells of the worker, and a vLLM server."""

    blackbox: RunningServer
    vllm: "VllmServer"
    worker: int
    """Its pid."""
    socket: Path
    """Of the agents."""


@contextmanager
def watched(home: Path, nvml_library: Path, *, agent: bool) -> Iterator[Watched]:
    """With or without the agent in vLLM from its start. Skips the test where vLLM cannot be installed."""
    try:
        vllm_environment.python()
    except vllm_environment.NotInstalledError as error:
        pytest.skip(str(error))
    socket = home / "blackbox" / "agent.sock"
    with FakeDriver(home) as driver, pytest.MonkeyPatch.context() as variables:
        for name, value in driver.environment(nvml_library).items():
            variables.setenv(name, value)
        driver.set_gpus([Gpu(uuid=gpu_uuid(0))])
        with RunningServer(home, "--interval", "100ms", "--no-record") as blackbox:
            for name in driver.environment(nvml_library):
                variables.delenv(name)
            with VllmServer(home, socket, gpu_uuid(0), agent=agent) as vllm:
                (worker,) = vllm.pids("VLLM::Worker")
                driver.set_gpus([Gpu(uuid=gpu_uuid(0), processes=[Process(pid=worker, used_bytes=USED_BYTES)])])
                yield Watched(blackbox, vllm, worker, socket)


class VllmServer:
    """Ready when the context is entered, gone with all its processes when it is left."""

    def __init__(self, home: Path, agent_socket: Path, gpu_uuid: str, agent: bool = True, hurried: bool = True) -> None:
        """`hurried`: the agent looks ten times as often as it would, and may spend fifty times as much."""
        self.port = _free_port()
        self._temporary = Path(tempfile.mkdtemp(prefix="bb"))  # its sockets take no long names
        (self._temporary / "config.json").write_text(json.dumps(MODEL))
        self._log = home / "vllm.log"
        self._environment = environment(
            home,
            **(HURRIED if hurried else {}),
            BLACKBOX_AGENT_SOCKET=str(agent_socket),
            BLACKBOX_AGENT_CPU_AS=gpu_uuid,
            TMPDIR=str(self._temporary),
            HF_HUB_OFFLINE="1",
            VLLM_NO_USAGE_STATS="1",
            DO_NOT_TRACK="1",
            VLLM_CPU_KVCACHE_SPACE="1",
            VLLM_HOST_IP="127.0.0.1",
            GLOO_SOCKET_IFNAME="lo",
            VLLM_SERVER_DEV_MODE="1",  # for `frozen`
        )
        self._command = [str(word) for word in (*(_RUN if agent else ()), *_serve(self._temporary, self.port))]

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        try:
            self._await_health()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop()

    @property
    def pid(self) -> int:
        """Of the process whose descendants the others are."""
        return self._process.pid

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def pids(self, title: str) -> list[int]:
        """Its processes with this title."""
        family = psutil.Process(self._process.pid).children(recursive=True)
        return [one.pid for one in family if title in " ".join(one.cmdline())]

    def metrics(self) -> dict[str, float]:
        """The series of `/metrics` that have no labels but engine and model."""
        text = _get(f"http://127.0.0.1:{self.port}/metrics").decode()
        found = re.findall(r'^(vllm:\w+)\{engine="0",model_name="\w+"\} (\S+)$', text, re.MULTILINE)
        return {name: float(value) for name, value in found}

    def complete(self, prompt: Sequence[int], tokens: int, temperature: int = 1) -> list[int]:
        """One request, to its end; at a temperature of 0 the same prompt has the same answer."""
        body = {"model": "tiny", "prompt": list(prompt), "max_tokens": tokens, "ignore_eos": True}
        body |= {"temperature": temperature, "return_token_ids": True}
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/v1/completions",
            data=json.dumps(body).encode(),
            headers={"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=START_SECONDS_MAX) as answer:
            return json.load(answer)["choices"][0]["token_ids"]

    @contextmanager
    def load(self, requests: int, tokens: int) -> Iterator[None]:
        """Requests that run at the same time, with a common start and different ends."""
        start = [7] * (3 * PAGE_TOKENS)
        threads = [
            threading.Thread(target=self.complete, args=([*start, *[20 + number] * 8], tokens))
            for number in range(requests)
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            for thread in threads:
                thread.join()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """No step of the engine, while its requests keep their pages."""
        self._post("/pause?mode=keep&clear_cache=false")
        try:
            yield
        finally:
            self._post("/resume")

    def _post(self, path: str) -> None:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", method="POST")
        with urllib.request.urlopen(request, timeout=START_SECONDS_MAX) as answer:
            answer.read()

    def _await_health(self) -> None:
        until(self._is_healthy, lambda: self.log[-4000:], START_SECONDS_MAX)

    def _is_healthy(self) -> bool:
        assert self._process.poll() is None, self.log[-4000:]
        with suppress(OSError):
            _get(f"http://127.0.0.1:{self.port}/health")
            return True
        return False

    def _stop(self) -> None:
        family = psutil.Process(self._process.pid).children(recursive=True) if self._process.poll() is None else []
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        _, left = psutil.wait_procs(family, timeout=STOP_SECONDS_MAX)
        for process in left:
            process.kill()
        shutil.rmtree(self._temporary, ignore_errors=True)


_RUN = (sys.executable, "-m", "blackbox", "run", "--")


def _serve(model: Path, port: int) -> list[object]:
    options = "--skip-tokenizer-init --served-model-name tiny --host 127.0.0.1 --load-format dummy --dtype float32"
    sizes = f"--enforce-eager --max-model-len 512 --max-num-seqs 8 --block-size {PAGE_TOKENS}"
    python = vllm_environment.python()
    program = [python, "-m", "vllm.entrypoints.openai.api_server", "--model", model, "--port", port]
    return [*program, *options.split(), *sizes.split(), "--num-gpu-blocks-override", PAGES]


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=PATIENCE_SECONDS) as answer:
        return answer.read()
