"""What inference engines tell from outside: KV pages and requests, over HTTP, from processes left as they are."""

from blackbox.errors import UsageError
from blackbox.sources.base import SourceOption, SourceSpec


def parse_engine(text: str) -> str:
    """Address of an inference engine on this machine. Raises `UsageError`."""
    from blackbox.sources.engines.address import parse_url

    try:
        return str(parse_url(text))
    except ValueError:
        raise UsageError(f"{text!r} is not of the form http://HOST:PORT, HOST an IP address or localhost") from None


ENGINES: SourceOption[tuple[str, ...]] = SourceOption(
    "engine",
    "text",
    (),
    "inference engine of this machine to ask, as http://HOST:PORT, besides those found beside GPU processes",
    "URL",
    parse_engine,
    many=True,
)
NO_ENGINES = SourceOption("no_engines", "switch", False, "ask no inference engine")

SPEC = SourceSpec(
    "engines",
    "blackbox.sources.engines.source:make",
    isolation="thread",
    default=True,
    switch=NO_ENGINES,
    options=(ENGINES, NO_ENGINES),
    has_named_facts=True,
)
