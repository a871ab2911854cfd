"""Engines that are down, slow, huge, or talk nonsense."""

import socket
import threading
import tracemalloc
from collections.abc import Callable, Iterator

import pytest

from blackbox.model.sample import Sample
from blackbox.model.visibility import ANYONE
from blackbox.sources.engines import fetch as fetching
from blackbox.sources.engines.address import Address
from blackbox.sources.engines.fetch import NoAnswerError, fetch
from blackbox.sources.engines.metrics import Body
from blackbox.sources.engines.source import EngineSource
from tests import upstream as faults
from tests.moments import whole_status
from tests.recorded_engines import recorded
from tests.upstream import Behaviour, Upstream, pages, upstream
from tests.waiting import until_value

NEVER = threading.Event()
MIB = 1024 * 1024
TOO_LATE = "no whole answer within"
FAULTS: dict[str, tuple[Behaviour, str]] = {
    "hang": (faults.hang, TOO_LATE),
    "a head byte by byte": (faults.drip_head, TOO_LATE),
    "a body byte by byte": (faults.drip_body, TOO_LATE),
    "endless": (faults.endless, "more than 16 MiB"),
    "endless line": (faults.endless_line, "a line of more than 1 MiB"),
    "endless lines that are known": (faults.endless_known_lines, "more than 1 MiB of it to keep"),
    "endless head": (faults.endless_head, "no proper HTTP"),
    "gzip bomb": (faults.gzip_bomb, "compressed though asked not to: 'gzip'"),
    "cut short": (faults.cut_short, "the answer ended 72 bytes early"),
    "cut in a chunk": (faults.cut_chunk, "no proper HTTP: IncompleteRead"),
    "no HTTP": (faults.no_http, "no proper HTTP"),
    "hangs up": (faults.hang_up, "no proper HTTP: RemoteDisconnected"),
    "garbage": (faults.garbage_metrics, "/metrics is not in the exposition format"),
}


SHORT_SECONDS, LONG_SECONDS = 1.0, 3600.0
"""Patience where it must run out, and where it must not, however busy the machine."""


@pytest.fixture(autouse=True)
def long_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "REQUEST_SECONDS_MAX", LONG_SECONDS)


@pytest.fixture
def source_of() -> Iterator[Callable[..., EngineSource]]:
    sources: list[EngineSource] = []

    def make(*addresses: Address) -> EngineSource:
        sources.append(EngineSource(set, addresses))
        return sources[-1]

    yield make
    for source in sources:
        source.close()


def until(source: EngineSource, wanted: Callable[[Sample], bool]) -> Sample:
    """Samples until one is as wanted."""
    return until_value(source.sample, wanted)


def metrics_fault(behave: Behaviour) -> Behaviour:
    """Only `/metrics` goes wrong; nothing else is there."""
    well = pages()

    def answer(server: Upstream, connection: socket.socket, path: str) -> None:
        (behave if path == "/metrics" else well)(server, connection, path)

    return answer


@pytest.mark.fault(35)
@pytest.mark.parametrize("name", FAULTS)
def test_row_35_each_fault_is_told_in_one_line_and_costs_the_others_nothing(
    name: str, source_of: Callable[..., EngineSource], monkeypatch: pytest.MonkeyPatch
) -> None:
    behave, reason = FAULTS[name]
    if reason == TOO_LATE:
        monkeypatch.setattr(fetching, "REQUEST_SECONDS_MAX", SHORT_SECONDS)
    with upstream(metrics_fault(behave)) as sick, upstream(pages(metrics=recorded("vllm-v0.10.prom"))) as well:
        source = source_of(sick.address, well.address)
        sample = until(source, lambda sample: bool(sample.engines) and reason in (whole_status(sample).reason or ""))
        assert sample.state == "degraded"
        told = whole_status(sample)
        assert told.reason is not None
        assert "\n" not in told.reason
        assert told.reason.startswith(str(sick.address))
        assert [engine.kv_pages_used for engine in sample.engines] == [250]
        assert told.facts[str(well.address)] == "vllm"
        assert (sample.reason, sample.facts) == (None, {})
        source.close()


@pytest.mark.fault(35)
def test_row_35_an_engine_that_is_down_is_told_so(source_of: Callable[..., EngineSource]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        source = source_of(Address("127.0.0.1", taken.getsockname()[1]))
        sample = until(source, lambda sample: sample.state == "degraded")
    (told,) = sample.of_users
    assert told.uid == ANYONE, "nobody listens, so nobody told it"
    assert told.reasons[0].endswith("connection refused")


@pytest.mark.fault(35)
def test_row_35_figures_of_an_engine_that_falls_silent_are_dropped_and_its_name_is_kept(
    source_of: Callable[..., EngineSource],
) -> None:
    with upstream(pages(metrics=recorded("vllm-v0.10.prom"))) as server:
        source = source_of(server.address)
        until(source, lambda sample: any(engine.requests_running == 2 for engine in sample.engines))
        server.behave = faults.hang_up
        sample = until(source, lambda sample: sample.state == "degraded")
        (engine,) = sample.engines
        assert (engine.kind, engine.model, engine.requests_running) == ("vllm", "qwen", None)
        assert engine.unknown["requests_running"].startswith("no proper HTTP")


@pytest.mark.fault(35)
def test_row_35_one_request_at_a_time_and_no_more_while_it_is_open(source_of: Callable[..., EngineSource]) -> None:
    with upstream(faults.hang) as server:
        source = source_of(server.address)
        until(source, lambda _: server.open == 1)
        for _ in range(100):
            source.sample()
        assert (server.open_max, len(server.paths)) == (1, 1)
        source.close()


def test_the_source_wants_no_quiet_while_an_answer_is_open(source_of: Callable[..., EngineSource]) -> None:
    with upstream(faults.hang) as silent, upstream(pages(metrics=recorded("vllm-v0.10.prom"))) as server:
        waiting, answered = source_of(silent.address), source_of(server.address)
        until(waiting, lambda _: silent.open == 1)
        assert waiting.quiet_seconds == 0
        until(answered, lambda sample: bool(sample.engines) and answered.quiet_seconds > 0)


@pytest.mark.fault(35)
def test_row_35_closing_gives_up_what_is_open(source_of: Callable[..., EngineSource]) -> None:
    with upstream(faults.drip_body) as server:
        source = source_of(server.address)
        until(source, lambda _: server.open == 1)
        source.close()
        assert whole_status(source.sample()).facts == {str(server.address): "asked for the first time"}


@pytest.mark.fault(35)
def test_row_35_redirects_are_not_followed() -> None:
    with upstream(pages(metrics=b"secret")) as target:

        def redirect(_: Upstream, connection: socket.socket, _path: str) -> None:
            location = f"Location: {target.address}/metrics".encode()
            connection.sendall(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n" + location + b"\r\n\r\n")

        with upstream(redirect) as server:
            assert fetch(server.address, "/metrics", Body().take, NEVER) == 302
        assert target.paths == []


@pytest.mark.fault(35)
@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1", "169.254.169.254"])
def test_row_35_only_this_machine_is_asked(host: str) -> None:
    with pytest.raises(NoAnswerError, match="is not an address of this machine"):
        fetch(Address(host, 80), "/metrics", Body().take, NEVER)


@pytest.mark.fault(35)
def test_row_35_a_huge_page_is_read_without_being_held(source_of: Callable[..., EngineSource]) -> None:
    filler = b'vllm:some_histogram_bucket{le="1"} 1\n' * (8 * MIB // 37)
    page = recorded("vllm-v0.10.prom") + filler
    with upstream(pages(metrics=page)) as server:
        source = source_of(server.address)
        tracemalloc.start()
        try:
            until(source, lambda sample: bool(sample.engines))
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < 2 * MIB


@pytest.mark.fault(35)
def test_row_35_many_that_are_down_are_named_in_part_and_told_each(source_of: Callable[..., EngineSource]) -> None:
    source = source_of(*(Address("192.0.2.1", port) for port in range(1, 6)))
    sample = until(source, lambda sample: "and 2 more" in (whole_status(sample).reason or ""))
    assert (whole_status(sample).reason or "").count("is not an address of this machine") == 3
    assert len(whole_status(sample).facts) == 5
