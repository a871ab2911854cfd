"""A machine that lives: memory that moves in pages, now and then jumps, and mostly stands still."""

import random

from msgspec import structs

from benchmarks.moments import GIB, device, process, status
from blackbox.model.moment import Moment
from blackbox.model.parts import Device, DeviceProcess, Memory
from blackbox.model.sample import Sample

INTERVAL_SECONDS = 0.5
PAGE_BYTES = 2 << 20
PAGES_MIN, PAGES_MAX = 100, 1200
BUSY_SHARE = 0.3
"""Of the processes: allocate and free all the time."""
JUMP_CHANCE = 0.002
"""Of any process per sample: loads another model."""
STARTED_AT = 1_800_000_000.0
"""Start of an hour, in Unix time."""


class LifelikeMachine:
    """Call `moment` for one sample after the other."""

    def __init__(self, gpus: int, processes: int) -> None:
        self._chance = random.Random(gpus * processes)
        self._devices = [device(number, 0, 0.0) for number in range(gpus)]
        self._processes = [
            process(number, self._devices[number // processes].uuid) for number in range(gpus * processes)
        ]
        self._pages = [self._chance.randrange(PAGES_MIN, PAGES_MAX) for _ in self._processes]
        self._busy = [self._chance.random() < BUSY_SHARE for _ in self._processes]
        self._seq = 0

    def moment(self) -> Moment:
        """What the sources see half a second later."""
        self._seq += 1
        now = self._seq * INTERVAL_SECONDS + self._chance.gauss(0, 0.0005)
        self._move()
        processes = tuple(
            structs.replace(one, used_bytes=pages * PAGE_BYTES)
            for one, pages in zip(self._processes, self._pages, strict=True)
        )
        sample = Sample(
            source="nvml",
            taken_at=now - 0.002,
            devices=tuple(self._device(one, processes, now) for one in self._devices),
            processes=processes,
            processes_taken_at=now - self._seq % 2 * INTERVAL_SECONDS,
        )
        return Moment(
            seq=self._seq,
            timestamp=STARTED_AT + now,
            taken_at=now,
            host="bench",
            samples=(sample,),
            sources=(status(self._seq),),
        )

    def _move(self) -> None:
        chance = self._chance
        for place, pages in enumerate(self._pages):
            if chance.random() < JUMP_CHANCE:
                self._pages[place] = chance.randrange(PAGES_MIN, PAGES_MAX)
            elif self._busy[place] and chance.random() < 0.5:
                self._pages[place] = max(PAGES_MIN, min(PAGES_MAX, pages + chance.randrange(-8, 9)))

    def _device(self, one: Device, processes: tuple[DeviceProcess, ...], now: float) -> Device:
        chance = self._chance
        held = sum(row.used_bytes or 0 for row in processes if row.gpu_uuid == one.uuid)
        used = held + GIB + chance.randrange(3) * 65536
        return structs.replace(
            one,
            taken_at=now - chance.random() * 0.01,
            memory=Memory(
                total_bytes=80 * GIB,
                used_bytes=used,
                free_bytes=79 * GIB - used,
                driver_reserved_bytes=GIB,
                source="nvml_v2",
            ),
            utilization_percent=float(min(100, max(0, int(chance.gauss(80, 12))))),
            temperature_celsius=float(60 + chance.randrange(3)),
            power_watts=round(chance.gauss(500, 20), 3),
        )
