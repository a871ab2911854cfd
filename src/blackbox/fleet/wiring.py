"""Makes the shipper of the settings."""

import socket
from importlib.metadata import version
from typing import Literal, cast

from blackbox.fleet.send import Access, access
from blackbox.fleet.shipper import FleetOptions, Shipper
from blackbox.recorder import Recording
from blackbox.settings import Settings


def access_of(settings: Settings) -> Access:
    """Where the engine of the settings is. Raises `UsageError`, `FailureError`."""
    return access(
        settings.fleet or "",
        user=settings.fleet_user,
        password_file=settings.fleet_password_file,
        token_file=settings.fleet_token_file,
        ca=settings.fleet_ca,
        database=settings.fleet_database,
    )


def make_shipper(settings: Settings, recording: Recording) -> Shipper:
    """The shipper to `settings.fleet`. Raises `UsageError`, `FailureError`."""
    options = FleetOptions(
        access=access_of(settings),
        host=socket.gethostname(),
        version=version("blackbox-vram"),
        tenant=settings.fleet_tenant,
        users=cast(Literal["hash", "name", "none"], settings.fleet_users),
        simulated=settings.demo,
    )
    return Shipper(recording, options)
