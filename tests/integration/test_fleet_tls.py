"""Shipping by TLS to a real ClickHouse, whose certificate is vouched for by a file of one's own, or by nobody.

The engine of the tests has no listener for TLS: a front of ours ends it, and the engine stands behind."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from blackbox.cli import main
from blackbox.fleet.send import Access
from tests.certificates import make_certificate
from tests.clickhouse_rig import ClickHouse, running
from tests.fleet_recordings import machine_events, machine_moments
from tests.fleet_rig import MINUTES, START, Ship, expected, shipped
from tests.recordings import recorded
from tests.tls_front import tls_front


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouse]:
    with running(tmp_path_factory.mktemp("clickhouse")) as (node,):
        yield node


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    with recorded(tmp_path / "data", machine_moments(START, MINUTES), machine_events(START)):
        pass
    return tmp_path / "data"


def test_tables_are_made_and_minutes_shipped_with_a_certificate_of_ones_own(
    node: ClickHouse, directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    certificate = make_certificate(tmp_path, "localhost")
    with tls_front(certificate, node.port) as port:
        url = f"https://localhost:{port}"
        assert main(["fleet", "init", "--url", url]) == 1
        assert "its certificate is not trusted" in capsys.readouterr().err
        assert main(["fleet", "init", "--url", url, "--ca", str(certificate.cert_file)]) == 0
        with Ship(directory, node, access=Access(url, ca=certificate.cert_file)) as ship:
            ship.steps()
            assert ship.shipper.status().state == "shipping"
    assert shipped(node, ship.machine) == expected(10)


@pytest.mark.parametrize(("name", "trusted"), [("db.example.org", True), ("localhost", False)])
def test_a_certificate_of_another_name_or_of_nobody_stops_it_with_one_line(
    name: str, trusted: bool, node: ClickHouse, directory: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    certificate = make_certificate(tmp_path, name)
    with tls_front(certificate, node.port) as port:
        access = Access(f"https://localhost:{port}", ca=certificate.cert_file if trusted else None)
        with Ship(directory, node, access=access) as ship:
            ship.steps(4)
            status = ship.shipper.status()
            assert ship.shipper.seconds_to_retry >= 30
    assert status.state == "stopped"
    assert "its certificate is not trusted: " in (status.reason or "")
    assert ("mismatch" in (status.reason or "")) == trusted
    assert len([record for record in caplog.records if record.levelno >= logging.ERROR]) == 1
