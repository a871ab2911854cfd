"""The settings in force: a flag beats a variable, which beats the settings file, which beats the default."""

import os
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from blackbox import paths
from blackbox.cli.common import parsers
from blackbox.cli.common.settings_options import Option, all_options
from blackbox.errors import UsageError
from blackbox.model.text import did_you_mean
from blackbox.settings import Settings

CONFIG_VARIABLE = "BLACKBOX_CONFIG"
CONFIG_BYTES_MAX = 1024 * 1024
"""Settings are a few lines; a device given by mistake would never end."""


def load_settings(arguments: Namespace, environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings in force. Raises `UsageError` with the flag, variable or key that is wrong."""
    return settings_with_origins(arguments, environ)[0]


def settings_with_origins(
    arguments: Namespace, environ: Mapping[str, str] = os.environ
) -> tuple[Settings, dict[str, str]]:
    """The same, and name of a field or key of a source's option -> the flag, the variable, or the file and key that set
    it; those at their default are absent."""
    file, written = _read_config(getattr(arguments, "config", None), environ)
    found: dict[str, object] = {}
    of_sources: dict[str, object] = {}
    origins: dict[str, str] = {}
    for option in all_options():
        values_found, key = (of_sources, option.key) if option.field is None else (found, option.field)
        flag = cast("str | list[str] | None", getattr(arguments, option.key, None))
        if flag is not None:
            values_found[key] = _value(option, flag, option.flag)
            origins[key] = option.flag
        elif option.variable in environ:
            text = environ[option.variable]
            values_found[key] = _value(option, text.split(",") if option.many else text, option.variable)
            origins[key] = option.variable
        elif option.key in written:
            where = f"{file}: {option.key}"
            values_found[key] = _value(option, _text(option, written[option.key], where), where)
            origins[key] = where
    settings = Settings(**found, source_options=of_sources)  # pyright: ignore[reportArgumentType]
    if settings.socket_group is not None and settings.unix_socket is None:
        raise UsageError("--socket-group needs --unix-socket")
    if settings.require_record and settings.no_record:
        raise UsageError("--require-record and --no-record exclude each other")
    return settings, origins


def config_path(flag: str | None, environ: Mapping[str, str]) -> tuple[Path | None, bool]:
    """Path of the settings file, None without a home; and whether it was named explicitly, so that it must exist."""
    asked = flag or environ.get(CONFIG_VARIABLE)
    if asked:
        return parsers.path(asked), True
    return paths.settings_file(environ), False


def _read_config(flag: str | None, environ: Mapping[str, str]) -> tuple[Path | None, dict[str, object]]:
    path, must_exist = config_path(flag, environ)
    if path is None:
        return None, {}
    try:
        with path.open("rb") as file:
            body = file.read(CONFIG_BYTES_MAX + 1)
    except FileNotFoundError:
        if must_exist:
            raise UsageError(f"settings file {path}: no such file") from None
        return path, {}
    except OSError as error:
        raise UsageError(f"settings file {path}: {error.strerror}") from None
    if len(body) > CONFIG_BYTES_MAX:
        raise UsageError(f"settings file {path}: larger than {CONFIG_BYTES_MAX} bytes")
    import tomllib  # most have no such file

    try:
        written = tomllib.loads(body.decode())
    except (ValueError, RecursionError) as error:  # of syntax, of text, of numbers and nesting without end
        raise UsageError(f"settings file {path}: {error}") from None
    _check_keys(path, written)
    return path, written


def _check_keys(path: Path, written: Mapping[str, object]) -> None:
    known = [option.key for option in all_options()]
    for key in written:
        if key not in known:
            hint = did_you_mean(key.replace("-", "_"), known) or f"; known are {', '.join(known)}"
            raise UsageError(f"settings file {path}: unknown key {key!r}{hint}")


def _text(option: Option, written: object, where: str) -> str | list[str]:
    """A value of the file as the text that a flag would have."""
    if option.many:
        items = cast("list[object]", written) if isinstance(written, list) else [written]
        if all(isinstance(item, str) for item in items):
            return cast("list[str]", items)
        raise UsageError(f"{where}: should be text or a list of texts")
    if isinstance(written, bool) != option.is_switch or not isinstance(written, (bool, str, int, float)):
        raise UsageError(f"{where}: should be {'true or false' if option.is_switch else 'text or a number'}")
    return str(written)


def _value(option: Option, text: str | list[str], where: str) -> object:
    if isinstance(text, list):
        return tuple(parsers.named(where, option.parse, item) for item in text)
    return parsers.named(where, option.parse, text)
