"""The agent's settings, from environment variables. A value that cannot be read leaves the default in force."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

INTERVAL_VARIABLE = "BLACKBOX_AGENT_INTERVAL"
BUDGET_VARIABLE = "BLACKBOX_AGENT_BUDGET"
EXTRAS_VARIABLE = "BLACKBOX_AGENT_EXTRAS"

INTERVAL_SECONDS = 0.5
INTERVAL_SECONDS_MIN = 0.05
BUDGET_PERCENT = 1.0
BUDGET_PERCENT_MIN = 0.01
BUDGET_PERCENT_MAX = 50.0


class AgentSettings(NamedTuple):
    """How often the agent reports, what it may cost, and what it reports beyond the default."""

    interval_seconds: float
    """Between counters."""
    budget_ratio: float
    """CPU time the agent may take, as a share of the time that passes."""
    extras: frozenset[str]
    """Lower-case names, such as `threads`."""


def read_settings(environ: Mapping[str, str]) -> AgentSettings:
    """The settings in these variables."""
    interval = _number(environ.get(INTERVAL_VARIABLE), INTERVAL_SECONDS)
    budget = _number(environ.get(BUDGET_VARIABLE), BUDGET_PERCENT)
    extras = (word.strip().lower() for word in environ.get(EXTRAS_VARIABLE, "").split(","))
    return AgentSettings(
        interval_seconds=max(INTERVAL_SECONDS_MIN, interval),
        budget_ratio=min(BUDGET_PERCENT_MAX, max(BUDGET_PERCENT_MIN, budget)) / 100,
        extras=frozenset(word for word in extras if word),
    )


def _number(text: str | None, default: float) -> float:
    try:
        number = float(text or default)
    except ValueError:
        return default
    return number if 0 < number < float("inf") else default
