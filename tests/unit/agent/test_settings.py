"""Variables of the agent: what cannot be read is left at its default, what is out of range comes into it."""

import pytest

from blackbox.agent.settings import AgentSettings, read_settings
from blackbox.wire.address import agent_paths

DEFAULT = AgentSettings(interval_seconds=0.5, budget_ratio=0.01, extras=frozenset())


@pytest.mark.parametrize("text", ["", "x", "nan", "inf", "-1", "0", "1e999"])
def test_what_is_no_number_above_zero_is_the_default(text: str) -> None:
    assert read_settings({"BLACKBOX_AGENT_INTERVAL": text, "BLACKBOX_AGENT_BUDGET": text}) == DEFAULT


def test_what_is_set_is_taken() -> None:
    variables = {
        "BLACKBOX_AGENT_INTERVAL": "2",
        "BLACKBOX_AGENT_BUDGET": "5",
        "BLACKBOX_AGENT_EXTRAS": " Threads,,cupti",
    }
    assert read_settings(variables) == AgentSettings(2.0, 0.05, frozenset({"threads", "cupti"}))


def test_no_setting_lets_the_agent_run_wild() -> None:
    wild = read_settings({"BLACKBOX_AGENT_INTERVAL": "1e-9", "BLACKBOX_AGENT_BUDGET": "1e9"})
    assert (wild.interval_seconds, wild.budget_ratio) == (0.05, 0.5)


@pytest.mark.parametrize(
    ("environ", "paths"),
    [
        ({}, ("/tmp/blackbox-1000/agent.sock", "/run/blackbox/agent.sock")),
        ({"TMPDIR": "/var/tmp"}, ("/var/tmp/blackbox-1000/agent.sock", "/run/blackbox/agent.sock")),
        ({"XDG_RUNTIME_DIR": "/run/user/1000"}, ("/run/user/1000/blackbox/agent.sock", "/run/blackbox/agent.sock")),
        ({"BLACKBOX_AGENT_SOCKET": "/here"}, ("/here",)),
    ],
)
def test_agents_look_where_servers_listen(environ: dict[str, str], paths: tuple[str, ...]) -> None:
    assert agent_paths(environ, 1000) == paths
