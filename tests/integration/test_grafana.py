"""The Grafana board and the alert rules, by a real Prometheus that scrapes the demo."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.test_prometheus_server import Prometheus
from tests.running_server import RunningServer
from tests.tools import tool

EXAMPLES = Path(__file__).parents[2] / "examples"
BOARD: dict[str, Any] = json.loads((EXAMPLES / "grafana-board.json").read_text())
TARGETS = [(panel["title"], target["expr"]) for panel in BOARD["panels"] for target in panel["targets"]]
RULES = ("prometheus-rules.yml", "prometheus-fleet-rules.yml")
NOBODY = "http://127.0.0.1:1"
"""Where no database of a fleet is."""
VARIABLES = {"$instance": ".*", "$job": ".*", "$__rate_interval": "10s"}


def in_prometheus(expression: str) -> str:
    """The expression with what Grafana puts in place of its variables."""
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    return expression


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    home = tmp_path_factory.mktemp("prometheus")
    flags = ("--demo", "--process-metrics", "--fleet", NOBODY)
    with RunningServer(home, *flags) as server:
        rules = [EXAMPLES / name for name in RULES]
        made = Prometheus(tool("prometheus", "prometheus"), home, server.port, rules)
        try:
            yield made
        finally:
            made.process.kill()
            made.process.wait()


@pytest.mark.slow
@pytest.mark.parametrize(("title", "expression"), TARGETS, ids=lambda value: re.sub(r"\W+", "-", value)[:50])
def test_every_expression_of_the_board_returns_data(prometheus: Prometheus, title: str, expression: str) -> None:
    for series in prometheus.ask(in_prometheus(expression)):
        assert series["value"][1] != "NaN", title


def test_the_board_names_series_that_there_are_and_no_variable_of_its_own_is_missing() -> None:
    metrics = (EXAMPLES.parent / "docs" / "metrics.md").read_text()
    names = {name for _, expression in TARGETS for name in re.findall(r"blackbox_\w+", expression)}
    assert len(names) > 20
    assert [name for name in names if f"`{name}`" not in metrics] == []
    known = {f"${variable['name']}" for variable in BOARD["templating"]["list"]} | VARIABLES.keys()
    assert {name for _, expression in TARGETS for name in re.findall(r"\$\w+", expression)} <= known
    ids = [panel["id"] for panel in BOARD["panels"]]
    assert len(set(ids)) == len(ids)


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not cells & taken, panel["title"]
        assert all(x < 24 for x, _ in cells)
        taken |= cells


@pytest.mark.parametrize("name", RULES)
def test_alerts_fire_when_they_should_and_not_before(name: str, tmp_path: Path) -> None:
    text = Path(__file__).with_name(name.replace(".yml", "-test.yml")).read_text()
    cases = tmp_path / "cases.yml"
    cases.write_text(text.replace("RULES", str(EXAMPLES / name)))
    done = subprocess.run([tool("promtool", "prometheus"), "test", "rules", cases], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_rules_are_evaluated_on_what_a_server_tells(prometheus: Prometheus) -> None:
    rules = {rule["name"]: rule for rule in prometheus.rules()}
    assert {name: rule["health"] for name, rule in rules.items()} == dict.fromkeys(rules, "ok")
    assert len(rules) > 20
    (ratio,) = prometheus.ask("job:blackbox_gpu_memory_used_bytes:sum / job:blackbox_gpu_memory_total_bytes:sum")
    assert 0 < float(ratio["value"][1]) < 1
    assert ratio["metric"] == {"job": "blackbox"}
    (away,) = prometheus.ask('ALERTS{alertname="FleetDatabaseAway"}')
    assert away["metric"]["alertstate"] == "pending"
