"""A simulated GPU or MIG instance: its memory ledger and what its sensors show."""

from blackbox.model.parts import Device, Memory, MigInstance
from blackbox.sources.simulated.units import MIB

UNATTRIBUTED_BYTES = 13 * MIB
"""In use on every device, yet in no process's name."""
IDLE_CELSIUS = 34.0
BUSY_CELSIUS = 71.0
WARMING_SECONDS = 25.0
"""Time in which a temperature covers two thirds of the way to where the load drives it."""
IDLE_WATTS = 74.0
BUSY_WATTS = 640.0
MIG_HAS_NO_UTILIZATION = "the driver measures no utilisation in MIG mode"
MIG_HAS_NO_SENSOR = "measured on the parent GPU only"


class SimulatedGpu:
    """A device that hands its memory out; no more than it has."""

    def __init__(
        self,
        uuid: str,
        index: int,
        name: str,
        total_bytes: int,
        driver_reserved_bytes: int,
        parent: "SimulatedGpu | None" = None,
        mig: MigInstance | None = None,
    ) -> None:
        self.uuid = uuid
        self.index = index
        self.instances: list[SimulatedGpu] = []
        self.busy_ratio = 0.0
        """Share of the last step in which kernels ran; the machine sets it."""
        self._name = name
        self.total_bytes = total_bytes
        self._driver_reserved_bytes = driver_reserved_bytes
        self._parent = parent
        self._mig = mig
        self._claimed_bytes = 0
        self._celsius = IDLE_CELSIUS
        if parent is not None:
            parent.instances.append(self)

    @property
    def used_bytes(self) -> int:
        return self._claimed_bytes + UNATTRIBUTED_BYTES + sum(instance.used_bytes for instance in self.instances)

    @property
    def free_bytes(self) -> int:
        return self.total_bytes - self._driver_reserved_bytes - self.used_bytes

    def claim(self, size: int) -> bool:
        """Takes `size` bytes; False when there is not enough."""
        if size > self.free_bytes:
            return False
        self._claimed_bytes += size
        return True

    def release(self, size: int) -> None:
        """Gives `size` bytes back."""
        self._claimed_bytes -= size

    def settle(self, seconds: float) -> None:
        """Lets the temperature follow the load for a while."""
        goal = IDLE_CELSIUS + (BUSY_CELSIUS - IDLE_CELSIUS) * self.busy_ratio
        self._celsius += (goal - self._celsius) * min(1.0, seconds / WARMING_SECONDS)

    def device(self, taken_at: float) -> Device:
        """The GPU as the driver would show it."""
        is_instance = self._parent is not None
        unknown: dict[str, str] = {}
        if is_instance or self.instances:
            unknown["utilization_percent"] = MIG_HAS_NO_UTILIZATION
        if is_instance:
            unknown["temperature_celsius"] = MIG_HAS_NO_SENSOR
            unknown["power_watts"] = MIG_HAS_NO_SENSOR
        return Device(
            uuid=self.uuid,
            index=self.index,
            name=self._name,
            taken_at=taken_at,
            memory=Memory(
                total_bytes=self.total_bytes,
                used_bytes=self.used_bytes,
                free_bytes=self.free_bytes,
                driver_reserved_bytes=self._driver_reserved_bytes,
                source="simulated",
            ),
            parent_uuid=self._parent.uuid if self._parent is not None else None,
            mig=self._mig,
            utilization_percent=None if "utilization_percent" in unknown else float(round(100 * self.busy_ratio)),
            temperature_celsius=None if is_instance else float(round(self._celsius)),
            power_watts=None if is_instance else round(IDLE_WATTS + (BUSY_WATTS - IDLE_WATTS) * self.busy_ratio, 1),
            unknown=unknown,
        )
