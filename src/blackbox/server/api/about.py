"""`GET /settings`, `GET /status` and `GET /vram/coverage`: Blackbox about itself."""

import os
import re
import resource
import threading
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import cast

import msgspec

from blackbox.model.about import OwnCost, SettingInForce, SettingsInForce, SettingValue
from blackbox.model.endpoints import COVERAGE, GPU, SETTINGS, STATUS
from blackbox.model.view import Shape
from blackbox.server.api.context import Context
from blackbox.server.api.endpoint import handles
from blackbox.server.http.answer import Answer, AnswerOrCoroutine, Viewer
from blackbox.server.http.offload import off_loop
from blackbox.server.http.query import Query
from blackbox.server.http.request import Request
from blackbox.server.http.response import JSON, Response, unavailable
from blackbox.settings import Settings
from blackbox.sources import SOURCES

NO_STORE = (("Cache-Control", "no-store"),)
DEFAULT = "default"
PASSWORD = re.compile(r"(?<=//)[^/@\s]*@")
"""User and password in an address."""
HIDDEN_AFTER_SCHEME = ("notify",)
"""Settings whose values are addresses that may be secrets from end to end."""
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def _cpu_seconds() -> float:
    """Of this process and of its children that have ended; lives through exec, as those of a shell before it do."""
    used = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


_STARTED_AT, _CPU_SECONDS_BEFORE = time.time(), _cpu_seconds()


def own_cpu_seconds() -> float:
    """CPU time since the server started, with that of its children that have ended."""
    return _cpu_seconds() - _CPU_SECONDS_BEFORE


@handles(SETTINGS)
def settings(context: Context, _request: Request, _viewer: Viewer, _query: Query) -> AnswerOrCoroutine:
    """What was set, and where."""
    return Response(200, msgspec.json.encode(in_force(context.settings, context.setting_origins)), JSON, NO_STORE)


@handles(STATUS)
def status(context: Context, _request: Request, _viewer: Viewer, _query: Query) -> AnswerOrCoroutine:
    """What the server takes."""
    stats = context.stats
    cost = OwnCost(
        version=_version(),
        pid=os.getpid(),
        started_at=_STARTED_AT,
        cpu_seconds=round(own_cpu_seconds(), 3),
        resident_bytes=int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES,
        threads=threading.active_count(),
        connections_open=stats.connections_open,
        streams_open=stats.streams_open,
        requests_total=sum(stats.requests_total.values()),
        errors_total=stats.errors_total,
        sent_bytes_total=stats.bytes_sent_total,
        waiting_bytes=stats.waiting_bytes,
        notify=None if context.notify_status is None else context.notify_status(),
        fleet=None if context.fleet_status is None else context.fleet_status(),
        otlp=None if context.otlp_status is None else context.otlp_status(),
    )
    return Response(200, msgspec.json.encode(cost), JSON, NO_STORE)


@handles(COVERAGE)
def covered(context: Context, _request: Request, viewer: Viewer, query: Query) -> AnswerOrCoroutine:
    """What each process lets us see."""
    latest = context.hub.latest
    if latest is None:
        return unavailable("no sample yet", retry_after_seconds=1)
    shape = Shape(query.get(GPU), "coverage", viewer.uid)
    made = latest.made(shape)
    if made is not None:
        return Response(200, made, JSON, NO_STORE)

    async def answer() -> Answer:
        return Response(200, await off_loop(context.workers, latest.body, shape), JSON, NO_STORE)

    return answer()


def in_force(settings: Settings, origins: Mapping[str, str]) -> SettingsInForce:
    """Every setting with its origin, those that were set first."""
    values = {name: getattr(settings, name) for name in Settings.__struct_fields__ if name != "source_options"}
    values |= {option.key: settings.source_options.get(option.key) for spec in SOURCES for option in spec.options}
    values |= settings.source_options
    rows = [
        SettingInForce(name=name, value=_shown(_without_secrets(name, value)), origin=origins.get(name, DEFAULT))
        for name, value in values.items()
    ]
    return SettingsInForce(settings=tuple(sorted(rows, key=lambda row: row.origin == DEFAULT)))


def _without_secrets(name: str, value: object) -> object:
    if name in HIDDEN_AFTER_SCHEME and isinstance(value, tuple):
        return tuple(f"{str(item).partition('://')[0]}://..." for item in cast("tuple[object, ...]", value))
    return value


def _shown(value: object) -> SettingValue:
    match value:
        case None | bool() | int() | float():
            return value
        case tuple() | list():
            return tuple(PASSWORD.sub("", str(item)) for item in value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        case _:
            return PASSWORD.sub("", str(value))


@cache
def _version() -> str:
    from importlib.metadata import version  # brings in the parser of e-mails: 2 MiB that no other route needs

    return version("blackbox-vram")
