"""A kubelet's socket of PodResources by the official gRPC library, in a process of its own: its threads mind forks.

    python -m tests.kubelet_server SOCKET ANSWER

It answers every question with what the file ANSWER holds then; without the file it refuses, as a busy kubelet does.
"""

import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.protobuf import message


class Container(NamedTuple):
    """What a container was given."""

    namespace: str
    pod: str
    name: str
    devices: Mapping[str, Sequence[str]] = {}
    """Resource of a plugin -> ids of devices."""
    claims: Sequence[tuple[str, str]] = ()
    """(driver, device) by Dynamic Resource Allocation."""


def text(field: int, value: str) -> bytes:
    return message(field, value.encode())


def answer(*containers: Container) -> bytes:
    """A `ListPodResourcesResponse`, with a pod for each container, and fields that nobody reads in between."""
    return b"".join(message(1, *_pod(one)) for one in containers)


def _pod(one: Container) -> Iterator[bytes]:
    yield text(1, one.pod)
    yield text(2, one.namespace)
    plugins = [
        message(2, text(1, resource), *(text(2, device) for device in devices), message(3, message(1)))
        for resource, devices in one.devices.items()
    ]
    claims = [
        message(
            5,
            text(2, "claim"),
            text(3, one.namespace),
            message(
                4,
                message(1, text(1, f"k8s.{driver}/claim=1-{device}")),
                text(2, driver),
                text(4, device),
            ),
        )
        for driver, device in one.claims
    ]
    yield message(3, text(1, one.name), *plugins, message(3, b"\1\2"), message(4, text(1, "memory")), *claims)


@contextmanager
def serving(socket: Path, answer_file: Path) -> Iterator[None]:
    """The server, from when it listens."""
    command = [sys.executable, "-m", "tests.kubelet_server", str(socket), str(answer_file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[1]) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"listening\n"
            yield
        finally:
            process.terminate()


def main(socket: Path, answer_file: Path) -> None:
    import grpc

    def listed(_request: bytes, context: grpc.ServicerContext) -> bytes:
        if not answer_file.exists():
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "rejected by rate limit: 100 %")
        return answer_file.read_bytes()

    server = grpc.server(ThreadPoolExecutor(2))
    handler = grpc.unary_unary_rpc_method_handler(listed)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("v1.PodResourcesLister", {"List": handler}),))
    server.add_insecure_port(f"unix:{socket}")
    server.start()
    print("listening", flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
