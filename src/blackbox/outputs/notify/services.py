"""Services that people are told by, each an address of Apprise. Addresses hold secrets: none is ever in an error, a log
or an answer; a service is named by its scheme and its place in the list."""

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, cast

from blackbox.errors import FailureError, UsageError
from blackbox.private_file import private_lines

SERVICES_MAX = 20
"""Each is told of everything, one after the other."""
MISSING = "notifications need Apprise: pip install 'blackbox-vram[notify]'"
NOISY_LOGGERS = ("apprise", "urllib3", "requests_oauthlib", "oauthlib", "paho", "slixmpp")
"""Of Apprise, and of what it sends with: they log addresses."""
_STATUS = re.compile(r"\berror=(\d{3})\b")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]{0,19}")


class Service(Protocol):
    """One way to tell people."""

    name: str
    """Its scheme and place in the list, such as `mailto #1`."""

    def send(self, title: str, body: str) -> str | None:
        """None once it was taken; else why not, without any secret. May take seconds; raises nothing."""
        ...


def load_services(addresses: Sequence[str], file: Path | None) -> list[Service]:
    """The services of `--notify` and of the file. Raises `UsageError`, `FailureError`."""
    try:
        import apprise  # pyright: ignore[reportMissingTypeStubs]
    except ImportError:
        raise FailureError(MISSING) from None
    _silence()
    given = [("--notify", address) for address in addresses]
    if file is not None:
        given += [(f"{file}", address) for address in private_lines(file)]
    if len(given) > SERVICES_MAX:
        raise UsageError(f"{len(given)} addresses to notify; {SERVICES_MAX} is the most")
    asset = apprise.AppriseAsset(app_id="Blackbox", app_desc="Blackbox", app_url="", secure_logging=True)
    services: list[Service] = []
    for number, (origin, address) in enumerate(given, 1):
        made: Any = cast(Any, apprise).Apprise.instantiate(address, asset=asset, suppress_exceptions=True)
        scheme = _scheme(address)
        if made is None:
            raise UsageError(f"{origin}: address {number} ({scheme}://...) is none that Apprise understands")
        if origin == "--notify" and _holds_secret(made, address):
            raise UsageError(
                f"--notify: address {number} ({scheme}://...) holds a secret, which others see in the list of "
                "processes: put it into a file and name that by --notify-file"
            )
        services.append(_AppriseService(f"{scheme} #{number}", made))
    if not services:
        raise UsageError(f"{file}: no address to notify in it")
    return services


class _AppriseService:
    """A service of Apprise."""

    def __init__(self, name: str, made: Any) -> None:
        self.name = name
        self._made = made

    def send(self, title: str, body: str) -> str | None:
        listener = _Reasons()
        logger = logging.getLogger("apprise")
        logger.addHandler(listener)
        try:
            taken = self._made.notify(title=title, body=body)
        except Exception as error:  # its text may hold the address
            return type(error).__name__
        finally:
            logger.removeHandler(listener)
        return None if taken else listener.reason


class _Reasons(logging.Handler):
    """Keeps of what Apprise logs the status of an answer alone: the rest may hold secrets."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.reason = "it was not taken"

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if found := _STATUS.search(text):
            self.reason = f"answered {found[1]}"
        elif "Connection error" in text:
            self.reason = "could not be reached"


def _silence() -> None:
    for name in NOISY_LOGGERS:
        logger = logging.getLogger(name)
        logger.propagate = False
        logger.addHandler(logging.NullHandler())


def _scheme(address: str) -> str:
    found = _SCHEME.match(address.partition("://")[0].lower()) if "://" in address else None
    return found[0] if found else "?"


def _holds_secret(made: Any, address: str) -> bool:
    """What Apprise hides when it shows an address, and headers that are sent along (`?+Authorization=`)."""
    headers = re.search(r"[?&](\+|%2B)", address, re.I)
    return headers is not None or made.url(privacy=True) != made.url(privacy=False)
