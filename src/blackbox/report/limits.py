"""What keeps the process in question from the whole GPU, as far as anyone told."""

from blackbox.analysis.diagnosis import KnownLimit
from blackbox.report.evidence import Evidence
from blackbox.report.subject import ReportSubject


def limit_of(evidence: Evidence, subject: ReportSubject | None) -> KnownLimit | None:
    """Its memory fraction, which refuses before the driver is asked; else its cgroup, else its MIG instance."""
    return _fraction(evidence) or _of_the_machine(evidence, subject)


def _fraction(evidence: Evidence) -> KnownLimit | None:
    """Where it left too little for what was refused, or may have: of a file the size of the GPU is not known."""
    oom = None if evidence.failure is None else evidence.failure.oom
    if oom is None or oom.allocator is None or oom.device_free_bytes is None:
        return None
    share = None if oom.settings is None else oom.settings.memory_fraction
    if share is None and evidence.replayed is not None:
        share = evidence.replayed.told.memory_fraction
    if share is None or oom.device_free_bytes < oom.requested_bytes:
        return None
    limit = None if oom.device_total_bytes is None else int(share * oom.device_total_bytes)
    held = oom.allocator.reserved_bytes
    if limit is not None and limit - held >= oom.requested_bytes:
        return None
    return KnownLimit(
        kind="fraction", limit_bytes=limit, used_bytes=held, whole_free_bytes=oom.device_free_bytes, share=share
    )


def _of_the_machine(evidence: Evidence, subject: ReportSubject | None) -> KnownLimit | None:
    if subject is None:
        return None
    last, (uuid, pid, _) = evidence.last, subject.key
    gpus = {gpu.uuid: gpu for gpu in last.gpus}
    device = gpus.get(uuid)
    if device is None or "total_bytes" in device.unknown:
        return None
    row = next((row for row in last.processes if (row.gpu_uuid, row.pid) == (uuid, pid)), None)
    if row is not None and row.limit is not None and row.limit.cgroup is not None:
        return KnownLimit(
            kind="cgroup",
            limit_bytes=row.limit.limit_bytes,
            used_bytes=row.limit.used_bytes,
            whole_free_bytes=device.free_bytes,
        )
    whole = gpus.get(device.parent_uuid or "")
    if whole is None or "total_bytes" in whole.unknown:
        return None
    return KnownLimit(
        kind="mig",
        limit_bytes=device.total_bytes - device.driver_reserved_bytes,
        used_bytes=device.used_bytes,
        whole_free_bytes=whole.free_bytes,
    )
