"""Settings out of flags, variables and the settings file."""

from argparse import Namespace
from pathlib import Path

import pytest
from msgspec import structs

from blackbox.cli import build_parser
from blackbox.cli.common.settings_file import config_path, load_settings
from blackbox.cli.common.settings_options import all_options
from blackbox.errors import UsageError
from blackbox.settings import Settings
from blackbox.sources import SOURCES
from blackbox.sources.vendor import VENDOR


def parse(*words: str) -> Namespace:
    return build_parser(["serve"]).parse_args(["serve", *words])


def test_without_anything_the_defaults_hold() -> None:
    assert load_settings(parse(), {}) == Settings()


def test_every_setting_has_an_option_and_every_option_a_setting() -> None:
    fields = sorted(option.field for option in all_options() if option.field is not None)
    assert fields == sorted({*Settings.__struct_fields__} - {"source_options"})


def test_the_help_tells_the_true_defaults() -> None:
    text = " ".join(build_parser(["serve"]).format_help().split())
    defaults = Settings()
    helps = {option.key: option.help for option in all_options()}
    assert str(defaults.port) in helps["port"]
    assert str(defaults.streams_max) in helps["streams_max"]
    assert str(defaults.blocks_max) in helps["blocks_max"]
    assert f"{defaults.data_limit_bytes >> 30}G" in helps["data_limit"]
    assert f"{defaults.interval_seconds * 1000:g}ms" in helps["interval"]
    assert " and ".join(defaults.hosts) in helps["host"]
    assert "serve" in text


def test_a_flag_beats_a_variable_beats_the_file(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text('port = 1001\ninterval = "3s"\ndemo = true\nstreams_max = 5\n')
    environ = {"BLACKBOX_PORT": "1002", "BLACKBOX_INTERVAL": "2s", "BLACKBOX_DEMO": "0"}
    settings = load_settings(parse("--port", "1003", "--config", str(file)), environ)
    assert settings == Settings(port=1003, interval_seconds=2.0, demo=False, streams_max=5)


def test_every_option_can_be_written_in_every_place(tmp_path: Path) -> None:
    texts = {
        "port": "7000",
        "demo": "true",
        "host": "10.0.0.1",
        "interval": "250ms",
        "log_level": "debug",
        "streams_max": "10",
        "blocks_max": "20",
        "idle_release": "5m",
        "web_config": "/w",
        "token_file": "/t",
        "unix_socket": "/u",
        "socket_group": "ops",
        "allowed_host": "gpu1",
        "cors_origin": "https://a",
        "no_auth": "true",
        "process_metrics": "true",
        "data_dir": "/d",
        "data_limit": "500M",
        "require_record": "true",
        "agent_socket": "/a",
        "no_agents": "true",
        "threshold": "80",
        "engine": "http://127.0.0.1:8000",
        "no_engines": "true",
        "kubelet_socket": "/k",
        "no_kubelet": "true",
        "gpm": "true",
        "pm_sampling": "true",
        "vendor": "amd",
        "replay": "/r.bbdump",
        "rules": "/rules",
        "speed": "10x",
        "notify": "json://localhost/",
        "notify_file": "/n",
        "notify_within": "30m",
        "public_url": "https://gpu1.example.org",
        "otlp": "http://localhost:4318",
        "otlp_headers_file": "/h",
        "otlp_ca": "/c",
        "otlp_interval": "15s",
        "otlp_processes": "true",
        "fleet": "http://localhost:8123",
        "fleet_user": "u",
        "fleet_password_file": "/p",
        "fleet_token_file": "/t",
        "fleet_ca": "/c",
        "fleet_database": "d",
        "fleet_tenant": "t",
        "fleet_read": "https://db.example.org:8443",
        "fleet_read_user": "reader",
        "fleet_read_password_file": "/p",
        "fleet_users": "name",
    }
    file = tmp_path / "c.toml"
    file.write_text("".join(f"{key} = {'true' if text == 'true' else repr(text)}\n" for key, text in texts.items()))
    from_file = load_settings(parse("--config", str(file)), {})
    from_variables = load_settings(parse(), {f"BLACKBOX_{key.upper()}": text for key, text in texts.items()})
    flags = [
        word
        for key, text in texts.items()
        for word in (["--" + key.replace("_", "-")] + ([] if text == "true" else [text]))
    ]
    from_flags = load_settings(parse(*flags), {})
    assert from_file == from_variables == from_flags
    defaults = structs.asdict(Settings())
    changed = {field for field, value in structs.asdict(from_file).items() if value != defaults[field]}
    assert changed == set(defaults) - {"tls_cert", "tls_key", "no_record"}
    of_sources = {option.key for spec in SOURCES for option in spec.options} | {VENDOR.key}
    assert set(from_file.source_options) == of_sources


def test_to_record_and_not_to_record_exclude_each_other() -> None:
    with pytest.raises(UsageError, match="exclude each other"):
        load_settings(parse("--no-record", "--require-record"), {})


@pytest.mark.parametrize(
    ("text", "size"), [("64M", 64 << 20), ("2G", 2 << 30), ("1.5GiB", 3 << 29), ("20000000", 20_000_000)]
)
def test_sizes(text: str, size: int) -> None:
    assert load_settings(parse("--data-limit", text), {}).data_limit_bytes == size


@pytest.mark.parametrize("text", ["1M", "-2G", "much", "2X", ""])
def test_sizes_that_are_none_or_too_small(text: str) -> None:
    with pytest.raises(UsageError, match="at least 16M"):
        load_settings(parse(f"--data-limit={text}"), {})


def test_lists(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text('host = ["::1", "10.0.0.1"]\nallowed_host = "a"\n')
    settings = load_settings(parse("--cors-origin", "a", "--cors-origin", "b", "--config", str(file)), {})
    assert (settings.hosts, settings.allowed_hosts, settings.cors_origins) == (("::1", "10.0.0.1"), ("a",), ("a", "b"))
    assert load_settings(parse(), {"BLACKBOX_HOST": "::1, 10.0.0.1"}).hosts == ("::1", "10.0.0.1")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--port", "http"], "--port: 'http' is not a port"),
        (["--port", "65536"], "--port: '65536' is not a port"),
        (["--port", "-1"], "not a port"),
        (["--interval", "99ms"], "--interval: '99ms' is below the shortest interval, 100ms"),
        (["--interval", "inf"], "is not a duration"),
        (["--streams-max", "0"], "--streams-max: '0' is not a whole number above 0"),
        (["--token-file", ""], "--token-file: an empty path"),
        (["--socket-group", "x"], "needs --unix-socket"),
        (["--engine", "gpu1:8000"], "--engine: 'gpu1:8000' is not of the form http://HOST:PORT"),
        (["--engine", "http://example.com:80"], "HOST an IP address or localhost"),
        (["--nonsense"], "unrecognized arguments: --nonsense"),
        (["--log-level", "loud"], "invalid choice"),
    ],
)
def test_bad_flags(words: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_settings(parse(*words), {})


def test_bad_variables() -> None:
    with pytest.raises(UsageError, match=r"^BLACKBOX_DEMO: 'maybe' is neither true nor false$"):
        load_settings(parse(), {"BLACKBOX_DEMO": "maybe"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("prot = 1", "unknown key 'prot'; did you mean 'port'"),
        ("token-file = 'x'", "unknown key 'token-file'; did you mean 'token_file'"),
        ("[server]\nport = 1", "unknown key 'server'"),
        ("port = true", "port: should be text or a number"),
        ("port = [1]", "port: should be text or a number"),
        ("port = 1.5", "port: '1.5' is not a port"),
        ("demo = 'yes'", "demo: should be true or false"),
        ("host = [1]", "host: should be text or a list of texts"),
        ("port = ", "Invalid value"),
        ("\x00", "c.toml"),
    ],
)
def test_bad_files(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "c.toml"
    file.write_text(text)
    with pytest.raises(UsageError, match=message) as caught:
        load_settings(parse("--config", str(file)), {})
    assert str(file) in str(caught.value)


def test_a_file_somebody_named_must_be_readable(tmp_path: Path) -> None:
    (tmp_path / "latin1").write_bytes(b'socket_group = "\xe9"')
    for path, message in [
        (tmp_path / "missing", "no such file"),
        (tmp_path, "Is a directory"),
        (tmp_path / "latin1", "utf-8"),
        (Path("/dev/zero"), "larger than"),
    ]:
        with pytest.raises(UsageError, match=message):
            load_settings(parse(), {"BLACKBOX_CONFIG": str(path)})


def test_where_the_file_is_looked_for(tmp_path: Path) -> None:
    assert config_path("f", {"BLACKBOX_CONFIG": "v"}) == (Path("f"), True)
    assert config_path(None, {"BLACKBOX_CONFIG": "v"}) == (Path("v"), True)
    assert config_path(None, {"XDG_CONFIG_HOME": "/x", "HOME": "/h"}) == (Path("/x/blackbox/config.toml"), False)
    assert config_path(None, {"XDG_CONFIG_HOME": "x", "HOME": "/h"}) == (Path("/h/.config/blackbox/config.toml"), False)
    assert config_path(None, {}) == (None, False)
    (tmp_path / "blackbox").mkdir()
    (tmp_path / "blackbox/config.toml").write_text("port = 7001")
    assert load_settings(parse(), {"XDG_CONFIG_HOME": str(tmp_path)}).port == 7001
