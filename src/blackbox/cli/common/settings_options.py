"""Every setting of the server, once: its flag, its variable, its key in the settings file, and its field.

`--token-file` is `BLACKBOX_TOKEN_FILE`, `token_file = "..."`, and `Settings.token_file`.
"""

from argparse import ArgumentParser
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from blackbox.cli.common import parsers

if TYPE_CHECKING:
    from blackbox.sources.base import SourceOption


class Option(NamedTuple):
    key: str
    """Name in the settings file; the names of flag and variable derive from it."""
    field: str | None
    """Of `blackbox.settings.Settings`; None for an option of a source, which stands in its `source_options`."""
    parse: Callable[[str], object]
    help: str
    metavar: str | None = None
    many: bool = False
    """May be given several times; a list in the file, separated by commas in the variable."""

    @property
    def flag(self) -> str:
        return "--" + self.key.replace("_", "-")

    @property
    def variable(self) -> str:
        return "BLACKBOX_" + self.key.upper()

    @property
    def is_switch(self) -> bool:
        return self.parse is parsers.switch


SERVING = (
    Option("port", "port", parsers.port, "port to listen on, 0 for any free one (default: 6767)", "PORT"),
    Option("demo", "demo", parsers.switch, "show a simulated machine instead of this one"),
    Option(
        "host",
        "hosts",
        parsers.name,
        "address to listen on; any but loopback needs --token-file, --web-config or --no-auth "
        "(default: 127.0.0.1 and ::1)",
        "ADDRESS",
        many=True,
    ),
    Option(
        "interval",
        "interval_seconds",
        parsers.interval_seconds,
        "between samples: 0.5, 500ms, 2s; at least 100ms (default: 500ms)",
        "DURATION",
    ),
    Option("token_file", "token_file", parsers.path, "file with the token every request must carry", "FILE"),
    Option(
        "web_config", "web_config", parsers.path, "Prometheus web config file: TLS and users with passwords", "FILE"
    ),
    Option("no_auth", "no_auth", parsers.switch, "let anyone ask who can reach the address"),
    Option("tls_cert", "tls_cert", parsers.path, "certificate chain, in PEM", "FILE"),
    Option("tls_key", "tls_key", parsers.path, "its private key, in PEM", "FILE"),
    Option(
        "allowed_host",
        "allowed_hosts",
        parsers.name,
        "name by which people reach this server, besides addresses, localhost and this machine's name",
        "NAME",
        many=True,
    ),
    Option(
        "cors_origin",
        "cors_origins",
        parsers.name,
        "origin of a web page that may read the answers, * for any (default: none)",
        "ORIGIN",
        many=True,
    ),
    Option("unix_socket", "unix_socket", parsers.path, "also listen on this Unix socket", "PATH"),
    Option("socket_group", "socket_group", parsers.name, "group that may use the Unix socket", "GROUP"),
    Option("streams_max", "streams_max", parsers.count, "most streams at once (default: 10000)", "COUNT"),
    Option("blocks_max", "blocks_max", parsers.count, "most blocks in one answer (default: 100000)", "COUNT"),
    Option("process_metrics", "process_metrics", parsers.switch, "give /metrics a series for every process"),
    Option(
        "idle_release",
        "idle_release_seconds",
        parsers.duration_seconds,
        "release the driver when nobody asked for this long (default: never)",
        "DURATION",
    ),
)
RECORDING = (
    Option(
        "data_dir", "data_dir", parsers.path, "where the recording goes (default: XDG state directory)", "DIRECTORY"
    ),
    Option(
        "data_limit", "data_limit_bytes", parsers.data_limit_bytes, "disk the recording may take (default: 2G)", "SIZE"
    ),
    Option("no_record", "no_record", parsers.switch, "keep no recording"),
    Option(
        "replay", "replay", parsers.path, "play a dump, or a PyTorch snapshot, instead of watching this machine", "FILE"
    ),
    Option(
        "rules",
        "replay_rules",
        parsers.path,
        "of a snapshot replayed: what memory is for, by lines `name = pattern` over frames and tags",
        "FILE",
    ),
    Option("speed", "replay_speed", parsers.speed, "of the replay: 10 is ten times as fast (default: 1)", "FACTOR"),
    Option("require_record", "require_record", parsers.switch, "do not start where recording is impossible"),
    Option(
        "threshold",
        "thresholds_percent",
        parsers.percent,
        "percent of a GPU's memory in use whose crossing is an event (default: 95)",
        "PERCENT",
        many=True,
    ),
)
NOTIFYING = (
    Option(
        "notify",
        "notify",
        parsers.name,
        "tell this address (of Apprise, such as json://localhost:8080/) of out-of-memory, crashes, thresholds and "
        "memory that fills; an address that holds a secret belongs in --notify-file (default: none)",
        "URL",
        many=True,
    ),
    Option(
        "notify_file",
        "notify_file",
        parsers.path,
        "file with such addresses, one a line; nobody else may be able to read it",
        "FILE",
    ),
    Option(
        "notify_within",
        "notify_within_seconds",
        parsers.duration_seconds,
        "tell of a GPU that would be full within this long (default: 15m)",
        "DURATION",
    ),
    Option(
        "public_url",
        "public_url",
        parsers.web_address,
        "where people reach the dashboard, for links to it (default: the host's name and the port)",
        "URL",
    ),
)
EXPORTING = (
    Option(
        "otlp",
        "otlp",
        parsers.web_address,
        "send metrics to this collector by OTLP/HTTP, such as http://localhost:4318; https, or this machine "
        "(default: none)",
        "URL",
    ),
    Option(
        "otlp_headers_file",
        "otlp_headers_file",
        parsers.path,
        "file with headers for it, such as `Authorization: Bearer ...`, one a line; nobody else may be able to read it",
        "FILE",
    ),
    Option(
        "otlp_ca",
        "otlp_ca",
        parsers.path,
        "certificates that vouch for it, in PEM, where that is no public authority",
        "FILE",
    ),
    Option(
        "otlp_interval",
        "otlp_interval_seconds",
        parsers.interval_seconds,
        "between exports (default: 60s)",
        "DURATION",
    ),
    Option("otlp_processes", "otlp_processes", parsers.switch, "export numbers of every process, too"),
)
FLEET = (
    Option(
        "fleet",
        "fleet",
        parsers.name,
        "ship minutes and events of the recording to the ClickHouse at this address; https, or http on this machine "
        "(default: none)",
        "URL",
    ),
    Option("fleet_user", "fleet_user", parsers.name, "user of ClickHouse (default: its own default)", "NAME"),
    Option("fleet_password_file", "fleet_password_file", parsers.path, "file with the user's password", "FILE"),
    Option(
        "fleet_token_file", "fleet_token_file", parsers.path, "file with a token, instead of user and password", "FILE"
    ),
    Option("fleet_ca", "fleet_ca", parsers.path, "certificates to trust (default: those of the system)", "FILE"),
    Option("fleet_database", "fleet_database", parsers.name, "where the tables are (default: blackbox)", "NAME"),
    Option(
        "fleet_tenant", "fleet_tenant", parsers.name, "whose machine this is, in every row (default: empty)", "NAME"
    ),
    Option(
        "fleet_read",
        "fleet_read",
        parsers.name,
        "answer questions about the fleet out of the ClickHouse at this address, to those who may see all "
        "(default: none)",
        "URL",
    ),
    Option("fleet_read_user", "fleet_read_user", parsers.name, "user of ClickHouse who may read the tables", "NAME"),
    Option(
        "fleet_read_password_file", "fleet_read_password_file", parsers.path, "file with that user's password", "FILE"
    ),
    Option(
        "fleet_users",
        "fleet_users",
        parsers.fleet_users,
        "how users are shipped: hash, name or none (default: hash)",
        "HOW",
    ),
)
LOGGING = (Option("log_level", "log_level", parsers.log_level, "least to log on stderr (default: info)", "LEVEL"),)


@cache
def all_options() -> tuple[Option, ...]:
    """Those of the server and of every source, in the order of `--help`."""
    from blackbox.sources import SOURCES
    from blackbox.sources.vendor import VENDOR

    gpu_sources = [spec for spec in SOURCES if spec.vendor is not None]
    others = [spec for spec in SOURCES if spec.vendor is None]
    return (
        *SERVING,
        *(_of_source(option) for spec in others for option in spec.options),
        *RECORDING,
        *NOTIFYING,
        *EXPORTING,
        _of_source(VENDOR),
        *(_of_source(option) for spec in gpu_sources for option in spec.options),
        *FLEET,
        *LOGGING,
    )


def _of_source(option: "SourceOption[Any]") -> Option:
    parse = {"switch": parsers.switch, "path": parsers.path, "text": option.parse or parsers.name}[option.kind]
    return Option(option.key, None, parse, option.help, option.metavar, option.many)


def add_flags(parser: ArgumentParser) -> None:
    """Adds a flag per option. Values stay text: they are parsed where those of variables and files are."""
    for option in all_options():
        if option.key == "log_level":  # every command has it
            continue
        if option.is_switch:
            parser.add_argument(option.flag, action="store_const", const="true", help=option.help)
        else:
            action = "append" if option.many else "store"
            parser.add_argument(option.flag, action=action, metavar=option.metavar, help=option.help)
    add_config_flag(parser)


def add_config_flag(parser: ArgumentParser) -> None:
    """Adds `--config`."""
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="settings file (default: BLACKBOX_CONFIG, else blackbox/config.toml in XDG_CONFIG_HOME or ~/.config)",
    )
