"""GPUs that a driver lists: an agent can tell of no other."""

from collections.abc import Collection

from blackbox.sources.agents.decode import ReportMessage


class KnownGpus:
    """The devices of the newest moment."""

    def __init__(self) -> None:
        self._uuids: frozenset[str] = frozenset()

    def update(self, uuids: Collection[str]) -> None:
        """What the drivers list now. Where they list none, as before they answered, the last ones stand."""
        self._uuids = frozenset(uuids) or self._uuids

    def holds(self, uuid: str) -> bool:
        """Whether there is such a device; true of every one while none is known."""
        return not self._uuids or uuid in self._uuids

    def only_known(self, message: ReportMessage) -> tuple[ReportMessage, list[str]]:
        """The report without what it says of other devices, and the names of these."""
        report = message.report
        kept = [self.holds(allocator.gpu_uuid) for allocator in report.allocators]
        unknown = [one.gpu_uuid for one, is_known in zip(report.allocators, kept, strict=True) if not is_known]
        layouts = report.kv_layouts
        if layouts is not None:
            unknown += [layout.gpu_uuid for layout in layouts if not self.holds(layout.gpu_uuid)]
            layouts = tuple(layout for layout in layouts if self.holds(layout.gpu_uuid))
        if not unknown:
            return message, unknown
        allocators = tuple(one for one, is_known in zip(report.allocators, kept, strict=True) if is_known)
        blocks = tuple(one for one, is_known in zip(message.blocks, kept, strict=True) if is_known)
        return ReportMessage(report._replace(allocators=allocators, kv_layouts=layouts), blocks, message.cost), unknown
