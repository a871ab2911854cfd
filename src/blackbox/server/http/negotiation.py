"""Content negotiation: which form and encoding a client gets, and whether it has the answer already."""

from functools import lru_cache

from blackbox.model.view import Encoding

WHOLE: tuple[Encoding, ...] = ("zstd", "gzip")
"""Encodings of whole answers; best first, among those a client likes equally well."""
STREAMED: tuple[Encoding, ...] = ("gzip",)
"""Encodings of streams."""
REMEMBERED = 64
"""Different header values whose meaning is kept; there are as many as kinds of clients."""


@lru_cache(maxsize=REMEMBERED)
def accepted_encoding(accept_encoding: bytes, offered: tuple[Encoding, ...]) -> Encoding:
    """The encoding for an `Accept-Encoding` value; identity where it leaves nothing that is offered."""
    weights: dict[str, float] = {}
    for item in accept_encoding.decode("latin-1").lower().split(","):
        name, _, parameters = item.partition(";")
        weights[name.strip()] = _weight(parameters)

    def weight(name: str) -> float:
        return weights.get(name, weights.get("*", 0.0))

    best = max(offered, key=weight)
    return best if weight(best) > 0 and weight(best) >= weights.get("identity", 0.0) else "identity"


@lru_cache(maxsize=REMEMBERED)
def accepts_html(accept: bytes) -> bool:
    """Whether an `Accept` value names HTML, as browsers do; `*/*` alone, which programs send, does not."""
    for item in accept.decode("latin-1").lower().split(","):
        name, _, parameters = item.partition(";")
        if name.strip() == "text/html" and _weight(parameters) > 0:
            return True
    return False


def _weight(parameters: str) -> float:
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return min(1.0, max(0.0, float(value)))
            except ValueError:
                return 0.0
    return 1.0


def has_tag(if_none_match: bytes, tag: str) -> bool:
    """Whether an `If-None-Match` value names the (weak) entity tag."""
    opaque = tag.removeprefix("W/")
    return any(known.strip().removeprefix("W/") == opaque for known in if_none_match.decode("latin-1").split(","))
