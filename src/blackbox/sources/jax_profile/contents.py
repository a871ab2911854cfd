"""The parts of a sample that a device memory profile tells: one process, pid 0, on the GPUs whose arrays it lists."""

import re
from collections import Counter
from collections.abc import Iterable

from msgspec import Struct

from blackbox.model.parts import Allocator, Device, DeviceProcess, Memory, OwningStack
from blackbox.model.sample import Sample
from blackbox.sources.jax_profile.pprof import PprofError, Profile, ProfileSample

SOURCE = "jax"
PID = 0
TAKEN_AT = 0.0
HOST = "cpu"
"""The platform whose memory is the machine's."""
NO_DRIVER = ""
FRAMES_MAX = 64
"""Of a stack, as of those that the agent tells."""
STACKS_MAX = 100_000
"""Genuine profiles have some hundreds."""
BYTES_MAX = 1 << 53
"""What JSON readers hold exactly, and above what any machine has."""
BYTES = ("space", "bytes")
COUNT = ("allocations", "count")
_DEVICE = re.compile(r"([a-z_]+):([0-9]{1,10})")
"""Numbers of the processes of a cluster go into millions."""
OTHER = "other"
"""Stands for the platform of a device that is named in another way, as TPUs are."""

NOT_TOLD = "a device memory profile does not tell it"
OF_THE_ARRAYS = (
    f"{NOT_TOLD}; this is what the arrays take, those that were put into the machine's memory (`pinned_host`) among"
    " them, which bear the same label"
)
DEVICE_UNKNOWN = {
    "uuid": "a device memory profile numbers the GPUs as its process did",
    "name": NOT_TOLD,
    "total_bytes": OF_THE_ARRAYS,
    "used_bytes": OF_THE_ARRAYS,
    "free_bytes": NOT_TOLD,
    "driver_reserved_bytes": NOT_TOLD,
    "used_percent": NOT_TOLD,
    "unattributed_bytes": NOT_TOLD,
}
PROCESS_UNKNOWN = {"pid": NOT_TOLD, "name": NOT_TOLD}
ALLOCATOR_UNKNOWN = {
    "blocks": "a device memory profile tells bytes by stack, and no block",
    "reserved_bytes": OF_THE_ARRAYS,
    "inactive_split_bytes": NOT_TOLD,
    "requested_bytes": NOT_TOLD,
}


class ProfileContents(Struct, frozen=True):
    """What is in a profile."""

    sample: Sample
    timestamp: float | None
    """Unix seconds; None where it is not told."""
    executable_bytes: int
    """Compiled programs. The profile does not tell where they lie: with one GPU they are part of what is used there."""
    host_bytes: int
    """Arrays on the CPU, which are left out."""
    other_bytes: int = 0
    """Arrays on devices whose names say nothing here; left out as well."""


def contents(profile: Profile) -> ProfileContents:
    """The sample in a profile. Raises `PprofError` where it is not one of JAX's device memory."""
    if BYTES not in profile.sample_types:
        raise PprofError("it is a profile, and tells no bytes")
    bytes_at = profile.sample_types.index(BYTES)
    count_at = profile.sample_types.index(COUNT) if COUNT in profile.sample_types else None
    stacks: dict[int, Counter[tuple[str, ...]]] = {}
    counts: dict[int, Counter[tuple[str, ...]]] = {}
    executables = host = other = 0
    strange: str | None = None
    for sample in profile.samples:
        size = _size(sample, bytes_at)
        place = _device(sample)
        if place is None:
            executables += size
        elif place[0] == HOST:
            host += size
        elif place[0] == OTHER:
            other, strange = other + size, strange or sample.labels["device"]
        else:
            frames = _frames(profile, sample)
            stacks.setdefault(place[1], Counter())[frames] += size
            if count_at is not None:
                counts.setdefault(place[1], Counter())[frames] += sample.values[count_at]
    if not stacks and strange is not None:
        raise PprofError(f"it names the device {strange[:40]!r}")
    if not stacks:
        raise PprofError("it lists no array on a GPU" + (f", and {host} bytes on the CPU" if host else ""))
    extra = executables if len(stacks) == 1 else 0
    held = {device: sum(found.values()) for device, found in sorted(stacks.items())}
    sample = Sample(
        source=SOURCE,
        taken_at=TAKEN_AT,
        devices=tuple(_device_of(device, size + extra) for device, size in held.items()),
        processes=tuple(_process(device, size + extra) for device, size in held.items()),
        processes_taken_at=TAKEN_AT,
        allocators=tuple(
            _allocator(device, size, _rows(stacks[device], counts.get(device, Counter())))
            for device, size in held.items()
        ),
    )
    time = profile.time_nanoseconds
    return ProfileContents(sample, time / 1e9 if 0 < time < BYTES_MAX * 1000 else None, executables, host, other)


def _size(sample: ProfileSample, at: int) -> int:
    size = sample.values[at] if at < len(sample.values) else -1
    if not 0 <= size <= BYTES_MAX:
        raise PprofError(f"it has a size of {size} bytes")
    return size


def _device(sample: ProfileSample) -> tuple[str, int] | None:
    """(platform, number); None of a compiled program, which has no device."""
    label = sample.labels.get("device")
    if label is None:
        if sample.labels.get("kind") != "executable":
            raise PprofError("it is a profile, and not of device memory: a sample names neither device nor executable")
        return None
    match = _DEVICE.fullmatch(label)
    return (OTHER, 0) if match is None else (match[1], int(match[2]))


def _frames(profile: Profile, sample: ProfileSample) -> tuple[str, ...]:
    return tuple(_lines(profile, sample.locations[:FRAMES_MAX]))[:FRAMES_MAX]


def _lines(profile: Profile, locations: Iterable[int]) -> Iterable[str]:
    for location in locations:
        for line in profile.locations.get(location, ()):
            function = profile.functions.get(line.function)
            if function is not None:
                yield f"{function.file}:{line.line} {function.name}"


def _rows(sizes: Counter[tuple[str, ...]], counts: Counter[tuple[str, ...]]) -> tuple[OwningStack, ...]:
    return tuple(OwningStack(frames, size, counts[frames]) for frames, size in sizes.most_common(STACKS_MAX))


def _uuid(device: int) -> str:
    """A profile numbers the GPUs as its process did, and knows no other name of them."""
    return f"device-{device}"


def _device_of(device: int, held: int) -> Device:
    return Device(
        uuid=_uuid(device),
        index=device,
        name="",
        taken_at=TAKEN_AT,
        memory=Memory(total_bytes=held, used_bytes=held, free_bytes=0, driver_reserved_bytes=0, source=NO_DRIVER),
        unknown=DEVICE_UNKNOWN,
    )


def _process(device: int, held: int) -> DeviceProcess:
    return DeviceProcess(
        pid=PID,
        gpu_uuid=_uuid(device),
        used_bytes=held,
        kind="compute",
        name=None,
        user=None,
        uid=None,
        container=None,
        start_time=None,
        unknown=PROCESS_UNKNOWN | {"used_bytes": OF_THE_ARRAYS},
    )


def _allocator(device: int, held: int, stacks: tuple[OwningStack, ...]) -> Allocator:
    return Allocator(
        pid=PID,
        start_time=None,
        gpu_uuid=_uuid(device),
        taken_at=TAKEN_AT,
        source=SOURCE,
        reserved_bytes=held,
        allocated_bytes=held,
        inactive_split_bytes=None,
        stacks=stacks,
        unknown=ALLOCATOR_UNKNOWN,
    )
