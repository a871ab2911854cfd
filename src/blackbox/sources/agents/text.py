"""Text from agents, made fit to be shown."""

from blackbox.model.text import printable as text_of_others

TEXT_MAX = 200
"""Names and reasons are shorter; a longer one buries the rest."""


def printable(text: str) -> str:
    """The text, cut to `TEXT_MAX`, with a question mark for everything that would move a terminal's cursor."""
    return text_of_others(text[:TEXT_MAX])


def printable_values(texts: dict[str, str]) -> dict[str, str]:
    """The same for keys and values."""
    return {printable(key): printable(text) for key, text in texts.items()}
