"""Everything a person can set, as plain data. Reading flags, environment and files is the command line's work."""

from ipaddress import ip_address
from pathlib import Path

from msgspec import Struct

DEFAULT_PORT = 6767
LOOPBACK = ("127.0.0.1", "::1")
FLEET_DATABASE = "blackbox"
"""Of ClickHouse, where the fleet's tables are."""
INTERVAL_SECONDS_MIN = 0.1
"""Faster sampling would cost the driver more than anyone can read."""
DATA_LIMIT_BYTES_MIN = 16 * 1024**2
"""An hour at the full rate of a common machine, and its roll-ups."""
STREAMS_MAX = 10_000
"""Streams of one server at once; the next asker gets 503 and Retry-After."""


class Settings(Struct, frozen=True, kw_only=True):
    """Settings of the server."""

    port: int = DEFAULT_PORT
    """0 picks a free one."""
    hosts: tuple[str, ...] = LOOPBACK
    """Addresses to listen on. Any but loopback needs one of `token_file`, `web_config`, `no_auth`."""
    interval_seconds: float = 0.5
    """Between samples."""
    demo: bool = False
    """Serve the simulated machine."""
    token_file: Path | None = None
    """File holding the bearer token that every request must carry."""
    web_config: Path | None = None
    """Prometheus web config file: TLS and basic auth."""
    no_auth: bool = False
    """Serve a wider bind to anyone."""
    tls_cert: Path | None = None
    tls_key: Path | None = None
    allowed_hosts: tuple[str, ...] = ()
    """Names accepted in `Host` besides IP addresses, `localhost` and this machine's name."""
    cors_origins: tuple[str, ...] = ()
    """Origins of web pages that may read the answers; `*` for all. Empty: none, and no CORS header."""
    unix_socket: Path | None = None
    """Also listen on this Unix socket, where the kernel tells who asks."""
    socket_group: str | None = None
    """Group that may connect to it."""
    streams_max: int = STREAMS_MAX
    blocks_max: int = 100_000
    """Blocks in one answer; what is above is cut from the answer, never from the sums."""
    process_metrics: bool = False
    """Series per process on `/metrics`."""
    idle_release_seconds: float | None = None
    """Let go of the driver when nobody asked for this long; None to hold it always."""
    data_dir: Path | None = None
    """Where the recording goes; None for the state directory of the service or the user."""
    data_limit_bytes: int = 2 * 1024**3
    """Disk the recording may take; what is oldest goes first."""
    no_record: bool = False
    """Keep no recording."""
    require_record: bool = False
    """Do not start where recording is impossible."""
    replay: Path | None = None
    """Play this dump instead of watching the machine; nothing is recorded meanwhile."""
    replay_speed: float = 1.0
    """How many times as fast as it was."""
    replay_rules: Path | None = None
    """File of rules that say what the memory of a snapshot is for."""
    thresholds_percent: tuple[float, ...] = (95.0,)
    """Shares of a GPU's memory in use whose crossing is an event."""
    notify: tuple[str, ...] = ()
    """Addresses of Apprise that are told of what went wrong; none holds a secret."""
    notify_file: Path | None = None
    """File with more of them, which may."""
    notify_within_seconds: float = 900.0
    """A GPU that would be full sooner than this is told of."""
    public_url: str | None = None
    """Where people reach the dashboard, for links to it; None for the host's name and the port."""
    otlp: str | None = None
    """Address of a collector that metrics are sent to; https, or this machine."""
    otlp_headers_file: Path | None = None
    """File with headers that let us in there."""
    otlp_ca: Path | None = None
    """Who vouches for it, where that is no public authority."""
    otlp_interval_seconds: float = 60.0
    """Between exports."""
    otlp_processes: bool = False
    """Export numbers of every process, too."""
    fleet: str | None = None
    """Ship the recording to this ClickHouse."""
    fleet_user: str | None = None
    fleet_password_file: Path | None = None
    fleet_token_file: Path | None = None
    """Instead of user and password."""
    fleet_ca: Path | None = None
    """Certificates that vouch for it; None for the system's."""
    fleet_database: str = FLEET_DATABASE
    fleet_read: str | None = None
    """Address of a ClickHouse that questions about a fleet are asked; https, or this machine."""
    fleet_read_user: str | None = None
    fleet_read_password_file: Path | None = None
    fleet_tenant: str = ""
    """Stands in every row; policies of ClickHouse tell tenants apart by it."""
    fleet_users: str = "hash"
    """How users are shipped: `hash`, `name` or `none`."""
    source_options: dict[str, object] = {}
    """Key of a source's option (`blackbox.sources.base.SourceOption`) -> its value, of those that were set."""
    log_level: str = "info"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
