"""When an address is asked, and what becomes of its answers."""

import threading
from collections.abc import Iterator

import pytest

from blackbox.sources.engines import watch as watching
from blackbox.sources.engines.discovery import Candidate
from blackbox.sources.engines.scrape import NOTES_MAX, HttpScrape
from blackbox.sources.engines.watch import Watch
from tests.clocks import ManualClock
from tests.recorded_engines import recorded
from tests.upstream import Upstream, hang_up, pages, status, upstream

NEVER = threading.Event()
HERS = 41_001


@pytest.fixture
def vllm() -> Iterator[Upstream]:
    with upstream(pages(metrics=recorded("vllm-v0.10.prom"))) as server:
        yield server


def candidate(server: Upstream, *gpu_pids: int, **engine_pids: int) -> Candidate:
    ranks = {rank[1:]: pid for rank, pid in engine_pids.items()}
    on_gpu = {rank: (pid,) for rank, pid in ranks.items() if pid in gpu_pids}
    return Candidate(server.address, 1, 10, ("vllm",), gpu_pids, ranks, on_gpu, frozenset({server.inode}), uid=HERS)


def waits(watch: Watch, clock: ManualClock, seconds: float) -> bool:
    """Whether it is due after so long, and not before."""
    clock.advance(seconds - 0.01)
    too_early = watch.is_due
    clock.advance(0.02)
    return watch.is_due and not too_early


def test_an_engine_that_answers_is_asked_every_two_seconds(vllm: Upstream) -> None:
    clock = ManualClock()
    watch = Watch(vllm.address, clock)
    assert watch.is_due
    for _ in range(3):
        watch.ask(NEVER)
        assert not watch.is_due
        assert waits(watch, clock, watching.ASK_SECONDS)


def test_an_engine_that_is_slow_to_answer_is_asked_less_often(vllm: Upstream) -> None:
    clock = ManualClock()
    watch = Watch(vllm.address, clock)
    well = vllm.behave

    def slowly(*arguments: object) -> None:
        clock.advance(0.1)
        well(*arguments)  # type: ignore[arg-type]

    watch.ask(NEVER)
    vllm.behave = slowly
    watch.ask(NEVER)
    assert waits(watch, clock, 0.1 / watching.ANSWER_SHARE)


@pytest.mark.fault(35)
def test_row_35_whoever_does_not_answer_is_asked_ever_less_often_and_at_once_when_he_is_back(vllm: Upstream) -> None:
    clock = ManualClock()
    watch = Watch(vllm.address, clock)
    well, vllm.behave = vllm.behave, hang_up
    for pause in (4, 8, 16, 32, 60, 60):
        watch.ask(NEVER)
        assert watch.outcome.failure is not None
        assert waits(watch, clock, pause)
    vllm.behave = well
    watch.ask(NEVER)
    assert watch.outcome.failure is None
    assert waits(watch, clock, watching.ASK_SECONDS)


def test_while_it_is_asked_it_is_not_due(vllm: Upstream) -> None:
    watch = Watch(vllm.address, ManualClock())
    watch.start()
    assert not watch.is_due


def test_an_engine_is_recognised_once_and_then_asked_only_for_what_it_has(vllm: Upstream) -> None:
    watch = Watch(vllm.address, ManualClock())
    watch.ask(NEVER)
    assert vllm.paths == ["/api/ps", "/prometheus/metrics", "/version", "/props", "/slots", "/metrics"]
    watch.ask(NEVER)
    assert vllm.paths[6:] == ["/metrics"]


def test_a_candidate_is_asked_only_what_engines_of_its_kind_are_asked(vllm: Upstream) -> None:
    watch = Watch(vllm.address, ManualClock())
    watch.candidate = candidate(vllm, 7)
    watch.ask(NEVER)
    assert vllm.paths == ["/metrics", "/version"]


def test_a_port_that_is_no_engine_is_no_fault_unless_somebody_named_it(vllm: Upstream) -> None:
    vllm.behave = pages()
    watch = Watch(vllm.address, ManualClock())
    watch.ask(NEVER)
    asked = ("/api/ps", "/prometheus/metrics", "/version", "/props", "/slots", "/metrics")
    answers = ", ".join(f"{path} 404" for path in asked)
    assert watch.fault == f"{vllm.address}: no engine that is known: {answers}"
    watch.candidate = candidate(vllm, 7)
    assert watch.fault is None
    assert watch.engines() == ()


def test_a_version_nobody_knows_is_a_fault_and_a_row_without_figures(vllm: Upstream) -> None:
    vllm.behave = pages(metrics=recorded("vllm-unknown.prom"))
    watch = Watch(vllm.address, ManualClock())
    watch.ask(NEVER)
    assert "unsupported version of vllm" in (watch.fault or "")
    assert [engine.kind for engine in watch.engines()] == ["vllm"]


@pytest.mark.parametrize(
    ("version", "status"),
    [
        ("0.10.2", "vllm 0.10.2"),
        ("9.0", "vllm 9.0: newer than those its figures were checked with (0.6 to 0.32, November 2026)"),
    ],
)
def test_an_engine_of_another_version_than_its_adapter_was_checked_with_is_told_and_read(
    vllm: Upstream, version: str, status: str
) -> None:
    vllm.behave = pages(metrics=recorded("vllm-v0.10.prom"), version=b'{"version": "%s"}' % version.encode())
    watch = Watch(vllm.address, ManualClock())
    watch.ask(NEVER)
    watch.ask(NEVER)
    assert (watch.status, watch.fault) == (status, None)
    assert [engine.kv_pages_used for engine in watch.engines()] == [250]
    assert vllm.paths.count("/version") == 1


@pytest.mark.parametrize(
    ("gpu_pids", "engine_pids", "pid"),
    [((7,), {}, 7), ((7, 8), {}, None), ((7, 8), {"_0": 5}, 5), ((), {}, None)],
)
def test_the_process_of_an_engine(
    vllm: Upstream, gpu_pids: tuple[int, ...], engine_pids: dict[str, int], pid: int | None
) -> None:
    watch = Watch(vllm.address, ManualClock())
    watch.candidate = candidate(vllm, *gpu_pids, **engine_pids)
    watch.ask(NEVER)
    (engine,) = watch.engines()
    assert engine.pid == pid
    assert ("pid" in engine.unknown) == (pid is None)
    assert engine.pids == gpu_pids, "the engine behind the address is the only one"
    assert ("pids" in engine.unknown) == (not gpu_pids)


def test_figures_carry_the_time_they_were_told(vllm: Upstream) -> None:
    clock = ManualClock()
    watch = Watch(vllm.address, clock)
    watch.ask(NEVER)
    told_at = clock.now
    clock.advance(60)
    vllm.behave = pages()
    watch.ask(NEVER)
    (engine,) = watch.engines()
    assert (engine.taken_at, engine.kv_usage_ratio) == (told_at, None)


def test_a_fault_of_an_adapter_is_told_and_does_not_end_the_watch(
    vllm: Upstream, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(watching, "ADAPTERS", (watching.ADAPTERS[0]._replace(read=broken),))
    watch = Watch(vllm.address, ManualClock())
    watch.ask(NEVER)
    assert watch.fault == f"{vllm.address}: its answer could not be read"
    assert "ZeroDivisionError" in caplog.text


def test_what_lasts_is_asked_once() -> None:
    slots, props = recorded("llama-cpp-slots.json"), recorded("llama-cpp-props.json")
    with upstream(pages(slots=slots, props=props)) as server:
        watch = Watch(server.address, ManualClock())
        watch.ask(NEVER)
        watch.ask(NEVER)
        assert [engine.model for engine in watch.engines()] == ["Qwen3-8B-Q4_K_M.gguf"]
        assert server.paths.count("/props") == 1
        assert server.paths.count("/slots") == 2


def test_a_visit_that_is_no_longer_wanted_asks_nothing(vllm: Upstream) -> None:
    cancelled = threading.Event()
    cancelled.set()
    watch = Watch(vllm.address, ManualClock())
    watch.ask(cancelled)
    assert (watch.outcome.failure, vllm.paths) == ("no longer wanted", [])


def test_an_engine_in_the_place_of_another_is_recognised(vllm: Upstream) -> None:
    watch = Watch(vllm.address, ManualClock())
    watch.ask(NEVER)
    vllm.behave = pages(metrics=recorded("sglang-0.5.23.prom"))
    watch.ask(NEVER)
    assert [engine.kind for engine in watch.engines()] == ["sglang"]
    assert watch.fault is None


def test_an_engine_that_loads_its_model_is_no_unknown_one(vllm: Upstream) -> None:
    watch = Watch(vllm.address, ManualClock())
    vllm.behave = status(503)
    watch.ask(NEVER)
    assert watch.fault == f"{vllm.address}: it says that it is not ready (/api/ps 503)"
    assert vllm.paths == ["/api/ps"]


def test_what_a_question_empties_is_not_asked_again_after_a_visit_that_failed(vllm: Upstream) -> None:
    server = pages(metrics=recorded("tensorrt-llm-metrics.json"), version=b'{"version": "1.2.1"}')
    watch = Watch(vllm.address, ManualClock())
    for behave in (server, hang_up, server, status(503), server):
        vllm.behave = behave
        watch.ask(NEVER)
    assert [engine.kind for engine in watch.engines()] == ["tensorrt-llm"]
    assert vllm.paths.count("/metrics") == 1


def test_notes_of_ever_new_versions_do_not_pile_up(vllm: Upstream) -> None:
    notes = set[str]()
    for version in range(1000):
        scrape = HttpScrape(vllm.address, {}, NEVER, notes=notes)
        scrape.remember(f"1.{version}")
        assert scrape.remembers(f"1.{version}")
    assert len(notes) <= NOTES_MAX


def test_rows_that_cannot_be_read_are_named(vllm: Upstream) -> None:
    vllm.behave = pages(api_ps=b'{"models": [{"title": "new"}, {"name": "a:8b", "size": 6, "size_vram": 6}]}')
    watch = Watch(vllm.address, ManualClock())
    watch.ask(NEVER)
    assert [engine.model for engine in watch.engines()] == ["a:8b"]
    assert "1 of 2 models left out" in (watch.fault or "")


@pytest.mark.fault(70)
def test_row_70_who_came_to_listen_where_an_engine_was_found_is_not_asked(vllm: Upstream) -> None:
    watch = Watch(vllm.address, ManualClock())
    watch.candidate = candidate(vllm, 7)._replace(sockets=frozenset({vllm.inode + 1}))
    watch.ask(NEVER)
    assert vllm.paths == []
    assert (watch.engines(), watch.outcome.failure) == ((), watching.ANOTHERS)
    watch.candidate = candidate(vllm, 7)
    watch.ask(NEVER)
    assert [one.uid for one in watch.engines()] == [HERS]


@pytest.mark.fault(70)
def test_row_70_an_answer_is_nobodys_where_another_came_to_listen_meanwhile(vllm: Upstream) -> None:
    watch = Watch(vllm.address, ManualClock())
    watch.candidate = candidate(vllm, 7)
    well = vllm.behave

    def leave_it_to_another(*arguments: object) -> None:
        vllm.listen_anew()
        well(*arguments)  # type: ignore[arg-type]

    vllm.behave = leave_it_to_another
    watch.ask(NEVER)
    assert vllm.paths, "it was asked"
    assert (watch.engines(), watch.outcome.failure) == ((), watching.ANOTHERS)
