"""Which devices each container of a pod was given, as the kubelet's API of PodResources `v1` tells it.

Fields are read by their numbers in Kubernetes' `api.proto`; those of processors, memory and places are left out.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from blackbox.model.parts import GivenTo
from blackbox.sources.protobuf import fields

LIST = "/v1.PodResourcesLister/List"
PODS_MAX = 5_000
"""A node has some hundred. What lists more is no answer."""
NAMESPACE = re.compile(r"[a-z0-9-]{1,63}")
POD = re.compile(r"[a-z0-9.-]{1,253}")
CONTAINER = re.compile(r"[a-z0-9-]{1,63}")
"""What Kubernetes lets such names be."""
NAME_BYTES_MAX = 512


class TooManyError(Exception):
    """More than are read."""


class GivenDevice(NamedTuple):
    """A device that a container was given."""

    to: GivenTo
    resource: str
    """Of a device plugin, such as `nvidia.com/gpu`; or the driver of a claim, such as `gpu.nvidia.com`."""
    name: str
    """As the plugin, or the driver, calls it."""
    is_claimed: bool = False
    """By Dynamic Resource Allocation."""


def given_devices(answer: bytes) -> Iterator[GivenDevice]:
    """All that the answer has. Raises `ProtobufError`, `TooManyError`."""
    pods = 0
    for number, value in fields(answer):
        if number == 1 and isinstance(value, bytes):
            pods += 1
            if pods > PODS_MAX:
                raise TooManyError(f"it lists more than {PODS_MAX:,} pods")
            yield from _of_pod(value)


def _of_pod(message: bytes) -> Iterator[GivenDevice]:
    """Of `PodResources`."""
    pod = namespace = ""
    containers: list[bytes] = []
    for number, value in fields(message):
        if number == 1:
            pod = _text(value)
        elif number == 2:
            namespace = _text(value)
        elif number == 3 and isinstance(value, bytes):
            containers.append(value)
    for container in containers:
        yield from _of_container(container, namespace, pod)


def _of_container(message: bytes, namespace: str, pod: str) -> Iterator[GivenDevice]:
    """Of `ContainerResources`."""
    name = ""
    devices: list[tuple[str, str, bool]] = []
    for number, value in fields(message):
        if number == 1:
            name = _text(value)
        elif number == 2 and isinstance(value, bytes):
            devices += ((resource, device, False) for resource, device in _of_plugin(value))
        elif number == 5 and isinstance(value, bytes):
            devices += ((driver, device, True) for driver, device in _of_claim(value))
    if not (NAMESPACE.fullmatch(namespace) and POD.fullmatch(pod) and CONTAINER.fullmatch(name)):
        return  # no such pod can be
    to = GivenTo(namespace=namespace, pod=pod, container=name)
    for resource, device, is_claimed in devices:
        yield GivenDevice(to, resource, device, is_claimed)


def _of_plugin(message: bytes) -> Iterator[tuple[str, str]]:
    """Of `ContainerDevices`."""
    resource, names = "", list[str]()
    for number, value in fields(message):
        if number == 1:
            resource = _text(value)
        elif number == 2:
            names.append(_text(value))
    yield from ((resource, name) for name in names)


def _of_claim(message: bytes) -> Iterator[tuple[str, str]]:
    """Of `DynamicResource`, which has a `ClaimResource` for each device."""
    for number, value in fields(message):
        if number != 4 or not isinstance(value, bytes):
            continue
        texts = {key: _text(part) for key, part in fields(value) if key in (2, 4)}
        if 2 in texts and 4 in texts:
            yield texts[2], texts[4]


def _text(value: int | bytes) -> str:
    """Empty where it is none."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) and len(value) <= NAME_BYTES_MAX else ""
