"""What a GPU says of itself: memory, utilisation, temperature, power."""

from pathlib import Path
from typing import NamedTuple

from blackbox.model.parts import Memory
from blackbox.sources.amd.cards import Card
from blackbox.sources.amd.files import FileFailure, FileFault, Files

SOURCE = "amdgpu"
SOURCE_OF_APU = "amdgpu_vram_gtt"
"""Of a processor with graphics."""
RESERVED_UNKNOWN = "the driver counts its own share into used_bytes"
WITHOUT_GTT = ("total_bytes", "used_bytes", "free_bytes", "used_percent", "unattributed_bytes")
TOTAL_BYTES_MAX = 2**50
"""No device has a pebibyte."""
TEMPERATURE_SENSORS = ("edge", "junction")
"""The first that a GPU has: the outer edge of the chip, or its hottest spot, which is all an Instinct tells."""
INTERVAL_SECONDS = 1.0
"""They are asked of the GPU's firmware; memory the driver counts itself."""
MILLIDEGREES_PER_DEGREE = 1000
TEMPERATURE_CELSIUS_MAX = 200
MICROWATTS_PER_WATT = 1_000_000
POWER_WATTS_MAX = 10_000
GAUGES = ("utilization_percent", "temperature_celsius", "power_watts")
ASLEEP = "the GPU sleeps, and asking would wake it"


class Gauges(NamedTuple):
    utilization_percent: float | None
    temperature_celsius: float | None
    power_watts: float | None
    unknown: dict[str, str]


class MemoryReading(NamedTuple):
    memory: Memory
    unknown: dict[str, str]


def read_memory(files: Files, card: Card) -> MemoryReading | FileFailure:
    """The memory for a GPU's programs: its own, and of a processor with graphics also what it may use of the machine's.
    What the driver keeps for itself is part of what is used, and told apart by nobody."""
    vram = _region(files, card, "vram")
    if isinstance(vram, FileFailure):
        return vram
    (total, used), source, unknown = vram, SOURCE, {"driver_reserved_bytes": RESERVED_UNKNOWN}
    if card.is_apu:
        gtt = _region(files, card, "gtt")
        if not isinstance(gtt, FileFailure):
            total, used, source = total + gtt[0], used + gtt[1], SOURCE_OF_APU
        elif gtt.fault is FileFault.ABSENT:
            unknown |= dict.fromkeys(WITHOUT_GTT, f"of the carve-out alone: {gtt.reason}")
        else:
            return gtt
    if not total:
        return FileFailure(FileFault.ABSENT, "the driver answers a memory of 0 bytes: it does not tell")
    if not used <= total <= TOTAL_BYTES_MAX:
        return FileFailure(FileFault.PASSING, f"the driver answered impossible memory: total {total}, used {used}")
    memory = Memory(total_bytes=total, used_bytes=used, free_bytes=total - used, driver_reserved_bytes=0, source=source)
    return MemoryReading(memory, unknown)


def _region(files: Files, card: Card, region: str) -> tuple[int, int] | FileFailure:
    """Bytes that it has, and that are used."""
    total = files.number(card.directory / f"mem_info_{region}_total", card.index)
    if isinstance(total, FileFailure):
        return total
    used = files.number(card.directory / f"mem_info_{region}_used", card.index)
    return used if isinstance(used, FileFailure) else (total, used)


class GaugeReader:
    """Reads one GPU; where its sensors are is looked up once."""

    def __init__(self, card: Card) -> None:
        self._card = card
        self._sensors: dict[str, Path] | None = None
        self._gauges: Gauges | None = None
        self._due_at = float("-inf")

    def read(self, files: Files, now: float) -> Gauges:
        """The gauges, at most `INTERVAL_SECONDS` old; none of a GPU that sleeps, since asking would wake it."""
        if self._gauges is None or now >= self._due_at:
            self._due_at = now + INTERVAL_SECONDS
            self._gauges = self._read(files)
        return self._gauges

    def _read(self, files: Files) -> Gauges:
        index = self._card.index
        if files.text(self._card.directory / "power/runtime_status", index) == "suspended":
            return Gauges(None, None, None, dict.fromkeys(GAUGES, ASLEEP))
        unknown: dict[str, str] = {}
        if self._sensors is None:
            self._sensors = _find_sensors(files, self._card)
        busy = files.number(self._card.directory / "gpu_busy_percent", index)
        temperature = self._sensor(files, "temperature")
        power = self._sensor(files, "power")
        return Gauges(
            _within("utilization_percent", busy, 1, 100, unknown),
            _within("temperature_celsius", temperature, MILLIDEGREES_PER_DEGREE, TEMPERATURE_CELSIUS_MAX, unknown),
            _within("power_watts", power, MICROWATTS_PER_WATT, POWER_WATTS_MAX, unknown),
            unknown,
        )

    def _sensor(self, files: Files, noun: str) -> int | FileFailure:
        path = (self._sensors or {}).get(noun)
        if path is None:
            return FileFailure(FileFault.ABSENT, f"the GPU has no sensor of its {noun}")
        return files.number(path, self._card.index)


def _find_sensors(files: Files, card: Card) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for directory in sorted(card.directory.glob("hwmon/hwmon*")):
        labels: dict[str | FileFailure, Path] = {
            files.text(label, card.index): label.with_name(label.name.replace("_label", "_input"))
            for label in sorted(directory.glob("temp*_label"))
        }
        for sensor in TEMPERATURE_SENSORS:
            if sensor in labels:
                found.setdefault("temperature", labels[sensor])
        for name in ("power1_average", "power1_input"):
            if (directory / name).exists():
                found.setdefault("power", directory / name)
    return found


def _within(key: str, number: int | FileFailure, per_unit: int, high: int, unknown: dict[str, str]) -> float | None:
    if isinstance(number, FileFailure):
        unknown[key] = number.reason
        return None
    value = number / per_unit
    if value > high:
        unknown[key] = f"the driver answered an impossible value: {value:g}"
        return None
    return value
