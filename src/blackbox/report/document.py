"""The report as JSON, for other programs."""

from typing import Any

import msgspec

from blackbox.analysis.trace.device_findings import AllocatorMoment, DeviceFindings, RefusedRequest
from blackbox.model.event_blocks import as_json
from blackbox.report.report_data import Report


def to_json(report: Report) -> bytes:
    """One object, on one line; `peak`, `refusals` and `causes` are of the GPU in question, and again in `devices`."""
    told = next((device for device in report.traced if device.gpu == report.traced_gpu), None)
    document: dict[str, Any] = {
        "title": report.title,
        "origin": report.origin,
        "host": report.host,
        "simulated": report.simulated,
        "time": report.time,
        "since": report.since,
        "gpu_uuid": report.gpu_uuid,
        "subject": report.subject,
        "request": report.request,
        "cache": report.cache,
        "processes": report.processes,
        "uses": report.uses,
        "peak": None if told is None else _peak(told.peak),
        "refusals": [] if told is None else [_refusal(refusal) for refusal in told.refusals],
        "causes": _causes(report),
        "advice": report.advice,
        "devices": [_device(device, report) for device in report.traced],
        "events": report.events,
        "notes": report.notes,
    }
    return msgspec.json.encode(document, enc_hook=as_json)


def _device(device: DeviceFindings, report: Report) -> dict[str, Any]:
    return {
        "gpu": device.gpu,
        "peak": _peak(device.peak),
        "refusals": [_refusal(refusal) for refusal in device.refusals],
        "refusals_total": device.refusals_total,
        "causes": _causes(report) if device.gpu == report.traced_gpu else [],
        "end": device.end,
        "steps": device.steps,
        "replayed_steps": device.replayed,
        "situations": device.situations,
    }


def _causes(report: Report) -> list[dict[str, Any]]:
    return [{"cause": told.cause, "why": told.why, "figures": told.figures} for told in report.causes]


def _peak(moment: AllocatorMoment) -> dict[str, Any]:
    return {name: getattr(moment, name) for name in moment.__struct_fields__}


def _refusal(refusal: RefusedRequest) -> dict[str, Any]:
    moment = refusal.moment
    return {
        "gpu": moment.gpu,
        "step": moment.step,
        "time": moment.time,
        "seconds": moment.seconds,
        "requested_bytes": refusal.requested_size,
        "stream": refusal.stream,
        "device_free_bytes": refusal.device_free_bytes,
        "free_bytes": refusal.free.bytes,
        "largest_free_bytes": refusal.free.largest_bytes,
        "free_pieces": refusal.free.pieces,
        "free_bytes_min": _least(refusal.free.bytes, refusal.free_certain.bytes),
        "largest_free_bytes_min": _least(refusal.free.largest_bytes, refusal.free_certain.largest_bytes),
        "free_elsewhere": refusal.free_elsewhere,
        "allocated_bytes": moment.bytes,
        "allocated_bytes_max": moment.bytes_max,
        "allocated_requested_bytes": moment.requested_bytes,
        "active_bytes": moment.active_bytes,
        "active_bytes_max": moment.active_bytes_max,
        "reserved_bytes": moment.reserved_bytes,
        "frames": refusal.frames,
        "by_category": moment.by_category,
        "by_stack": moment.by_stack,
        "by_pool": moment.by_pool,
        "freed_after": refusal.freed_after,
        "situations": refusal.situations,
    }


def _least(told: int, certain: int) -> int | None:
    """None where what is told is exact."""
    return None if certain == told else certain
