"""The source of what the kubelet gave to pods, asked once a minute over its socket of PodResources."""

import time
from collections import Counter
from collections.abc import Callable, Collection
from pathlib import Path

from msgspec import structs

from blackbox.model.parts import Device, GivenGpus, GivenTo
from blackbox.model.sample import Sample
from blackbox.model.status import SourceState
from blackbox.model.text import printable
from blackbox.sources.base import SourceContext
from blackbox.sources.kubelet import ANSWER, KUBELET_SOCKET
from blackbox.sources.kubelet.access import why_not_at
from blackbox.sources.kubelet.answer import LIST, TooManyError, given_devices
from blackbox.sources.kubelet.devices import DeviceNames, is_gpu
from blackbox.sources.protobuf import ProtobufError

ASK_SECONDS = 60.0
"""Between two questions: what pods are given changes as pods come and go."""
ANSWER_SECONDS_MAX = 5.0
ANSWER_BYTES_MAX = 16 << 20
"""As the kubelet's own clients have it."""
GIVEN_MAX = 1_000
"""GPUs and MIG instances, more than a machine has. What names more is no answer."""
CONTAINERS_MAX = 128
"""On one GPU that are named: time slicing gives it to as many as its plugin is told."""
NAMED_MAX, NAME_CHARS_MAX = 3, 80
"""Resources whose devices are no known GPU, in a reason."""
NOT_YET = "the kubelet was not asked yet"


class KubeletSource:
    """Asks in its own thread; between two questions a sample is the last answer. Without an answer nothing is known: an
    older one is told no longer."""

    name = "kubelet"

    def __init__(
        self,
        socket: Path,
        devices: Callable[[], Collection[Device]] = tuple,
        clock: Callable[[], float] = time.monotonic,
        proc: Path = Path("/proc"),
    ) -> None:
        """`devices`: those that the drivers list now."""
        self._socket = socket
        self._names = DeviceNames(devices, proc)
        self._clock = clock
        self._ask_at = float("-inf")
        self._asked = self._failed = 0
        self._state: SourceState = "starting"
        self._reason: str | None = NOT_YET
        self._given = GivenGpus(reason=NOT_YET)

    def sample(self) -> Sample:
        """What was given, as of a minute ago at most."""
        if self._clock() >= self._ask_at:
            self._ask_at = self._clock() + ASK_SECONDS
            self._ask()
        return Sample(
            source=self.name,
            taken_at=self._clock(),
            state=self._state,
            reason=self._reason,
            given=self._given,
            cost={"calls_total": self._asked, "failed_calls_total": self._failed},
            facts=dict((ANSWER.stated(_told(self._given)),)) if self._state == "ok" else {},
        )

    def close(self) -> None:
        """The next sample asks anew; no connection outlives its call."""
        self._ask_at = float("-inf")

    def _ask(self) -> None:
        self._asked += 1
        hindrance = why_not_at(self._socket)
        if hindrance is not None:
            self._fail("no_access", hindrance or f"{self._socket} is not there")
            return
        # only where it is installed
        from blackbox.sources.kubelet.call import CallError, call

        try:
            answer = call(self._socket, LIST, b"", seconds=ANSWER_SECONDS_MAX, bytes_max=ANSWER_BYTES_MAX)
            self._given = given_gpus(answer, self._names)
        except (CallError, TooManyError) as error:
            self._fail("failed", f"the kubelet at {self._socket}: {error}")
        except ProtobufError as error:
            self._fail("failed", f"the kubelet at {self._socket}: its answer cannot be read: {error}")
        else:
            self._state, self._reason = "ok", None

    def _fail(self, state: SourceState, reason: str) -> None:
        self._failed += 1
        self._state, self._reason = state, reason
        self._given = GivenGpus(reason=reason)


def given_gpus(answer: bytes, names: DeviceNames) -> GivenGpus:
    """The GPUs of an answer, and what of it no GPU is found by. Raises `ProtobufError`, `TooManyError`."""
    found: dict[str, dict[GivenTo, None]] = {}
    unread: Counter[str] = Counter()
    for given in given_devices(answer):
        named = names.of(given)
        if named is not None:
            containers = found.setdefault(named.uuid, {})
            if len(found) > GIVEN_MAX:
                raise TooManyError(f"it names more than {GIVEN_MAX:,} GPUs")
            if len(containers) < CONTAINERS_MAX:
                containers[structs.replace(given.to, shared=named.is_share)] = None
        elif is_gpu(given):
            unread[given.resource] += 1
    told = ", ".join(f"{count} of {printable(name)[:NAME_CHARS_MAX]}" for name, count in unread.most_common(NAMED_MAX))
    return GivenGpus(
        containers={uuid: tuple(containers) for uuid, containers in sorted(found.items())},
        reason=f"of devices that pods were given, no GPU is found by the name: {told}" if unread else None,
    )


def _told(given: GivenGpus) -> str:
    pods = {(one.namespace, one.pod) for containers in given.containers.values() for one in containers}
    text = f"GPUs and MIG instances given: {len(given.containers)}, to pods: {len(pods)}"
    return text if given.reason is None else f"{text}; {given.reason}"


def make(context: SourceContext) -> KubeletSource:
    """The source at the socket of the settings."""
    return KubeletSource(KUBELET_SOCKET.of(context.options), context.devices)
