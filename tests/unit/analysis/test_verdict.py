"""No cause, sentence or advice contradicts the figures it is made of."""

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from blackbox.analysis.advice import advise
from blackbox.analysis.diagnosis import (
    AllocatorCache,
    FailedAllocation,
    FailedRequest,
    KnownLimit,
    ProcessShare,
    UsageChange,
)
from blackbox.analysis.trace.moments import KEPT_BACK, OTHER_STREAM, PRIVATE_POOL
from blackbox.analysis.usage import GpuSummary
from blackbox.analysis.verdict import FoundCause, verdict_of
from blackbox.report.explanation import explain, tell

GIB = 1 << 30
amounts = st.one_of(st.just(0), st.integers(0, 100), st.integers(0, 80 * GIB))
IMMEDIATE = ("fragmentation", "neighbour", "shortage", "limit", "unknown")


@st.composite
def changes(draw: st.DrawFn, what: str) -> UsageChange:
    before, after = draw(amounts), draw(amounts)
    fell = draw(st.sampled_from([0, 0, abs(after - before) // 20, abs(after - before)]))
    third = (after - before) // 3
    rises = draw(st.sampled_from([(), (third, third, after - before - 2 * third), (0, 0, after - before)]))
    return UsageChange(what=what, before_bytes=before, after_bytes=after, fell_bytes=fell, rises=rises)


@st.composite
def caches(draw: st.DrawFn) -> AllocatorCache:
    pieces = draw(st.lists(st.integers(1, 4 * GIB), max_size=5))
    allocated = draw(amounts)
    unusable = draw(
        st.dictionaries(st.sampled_from([PRIVATE_POOL, OTHER_STREAM, KEPT_BACK]), st.integers(1, 8 * GIB), max_size=3)
    )
    free = sum(pieces) + sum(unusable.values())
    return AllocatorCache(
        reserved_bytes=allocated + free,
        allocated_bytes=allocated,
        free_bytes=free,
        stranded_bytes=draw(st.one_of(st.none(), st.integers(0, free))),
        largest_hole_bytes=max(pieces, default=0),
        usable_bytes=sum(pieces),
        unusable=unusable,
        expandable=draw(st.sampled_from([None, True, False])),
    )


@st.composite
def limits(draw: st.DrawFn) -> KnownLimit:
    allowed = draw(amounts)
    kind = draw(st.sampled_from(["cgroup", "mig", "fraction"]))
    return KnownLimit(
        kind=kind,
        limit_bytes=None if kind == "fraction" and draw(st.booleans()) else allowed,
        share=draw(st.floats(0.01, 0.99)) if kind == "fraction" else None,
        used_bytes=draw(st.none() | st.integers(0, allowed)),
        whole_free_bytes=draw(st.none() | amounts),
    )


@st.composite
def failures(draw: st.DrawFn) -> FailedAllocation:
    asked = draw(st.integers(1, 8 * GIB))
    free = draw(st.one_of(st.none(), st.integers(0, 2 * asked)))
    used = draw(st.lists(amounts, max_size=3))
    processes = tuple(
        ProcessShare(
            pid=pid,
            name="python",
            label=f"python (pid {pid})",
            user=None,
            used_bytes=count,
            uses={"activations": count},
            change=draw(changes(f"python (pid {pid})")),
            is_failed=pid == 0 and draw(st.booleans()),
        )
        for pid, count in enumerate(used)
    )
    return FailedAllocation(
        request=FailedRequest(
            time=0.0,
            requested_bytes=asked,
            device_free_bytes=free,
            missing_bytes=None if free is None else max(0, asked - free),
            others_bytes=sum(process.used_bytes for process in processes if not process.is_failed),
            thread=None,
        ),
        cache=draw(st.one_of(st.none(), caches())),
        processes=processes,
        uses=(draw(changes("activations")), draw(changes("weights"))),
        growth=None,
        gpu=draw(st.one_of(st.none(), st.just(GpuSummary(0, "GPU", 80 * GIB, 79 * GIB, GIB, 0)))),
        engines=(),
        limit=draw(st.one_of(st.none(), limits())),
        trace_growth=draw(st.one_of(st.none(), changes("memory held from step to step"))),
        step_peaks=tuple(draw(st.lists(amounts, max_size=5))),
    )


def check_figures(failure: FailedAllocation, found: FoundCause) -> None:
    figures, request, cache = found.figures, failure.request, failure.cache
    assert request is not None
    asked = request.requested_bytes
    usable = 0 if cache is None else cache.free_for_request_bytes
    largest = (cache.largest_hole_bytes or 0) if cache is not None else 0
    free = usable + (request.device_free_bytes or 0)
    match found.cause:
        case "fragmentation":
            assert free >= asked > largest
            assert asked > (request.device_free_bytes or 0)
        case "shortage" | "neighbour":
            assert free < asked
        case "limit" if "kept_back_bytes" in figures:
            assert cache is not None
            assert free < asked <= free + cache.unusable[KEPT_BACK]
        case "limit" if "limit_bytes" in figures:
            assert figures["limit_bytes"] - figures["limit_used_bytes"] < asked
            assert max(figures["whole_free_bytes"], request.device_free_bytes or 0) >= asked
        case "limit":
            assert (request.device_free_bytes or 0) >= asked
        case "unknown":
            assert request.device_free_bytes is None or largest >= asked
        case "leak":
            assert figures["rise_bytes"] == figures["after_bytes"] - figures["before_bytes"] > 0
            assert figures["fell_bytes"] <= figures["rise_bytes"]
        case "spike":
            assert cache is not None
            assert "leak" not in figures
            if "earlier_bytes" in figures:
                assert figures["earlier_bytes"] < figures["needed_bytes"] == cache.allocated_bytes + asked
            else:
                assert cache.allocated_bytes <= asked
    if found.cause in IMMEDIATE and "free_bytes" in figures:
        assert (figures["requested_bytes"], figures["free_bytes"]) == (asked, free)


@given(failures())
def test_every_cause_is_one_by_its_own_figures(failure: FailedAllocation) -> None:
    causes = verdict_of(failure)
    assert sum(found.cause in IMMEDIATE for found in causes) == 1, "it broke on one thing"
    assert len({found.cause for found in causes}) == len(causes)
    if any(found.cause == "leak" for found in causes):
        assert causes[0].cause == "leak"
    for found in causes:
        check_figures(failure, found)


@given(failures())
def test_no_sentence_says_what_the_cause_does_not(failure: FailedAllocation) -> None:
    told = tell(failure, verdict_of(failure))
    causes = {cause.cause for cause in told}
    text = " ".join(explain(failure, told))
    assert all(cause.why for cause in told)
    for words, cause in (
        ("enough in all, nowhere enough at once", "fragmentation"),
        ("too little, in whatever pieces", "shortage"),
        ("not the device refused", "limit"),
        ("Other processes hold", "neighbour"),
        ("what a leak looks like", "leak"),
        ("a spike", "spike"),
    ):
        assert words not in text or cause in causes
        assert cause not in causes or words in text or cause == "limit"


@given(failures())
def test_advice_brings_bytes_and_is_not_in_force(failure: FailedAllocation) -> None:
    causes = verdict_of(failure)
    kinds = {found.cause for found in causes}
    for item in advise(failure, causes):
        assert item.bytes is None or item.bytes > 0
        assert " 0 B" not in f" {item.title} {item.text}"
        if "expandable_segments" in item.text:
            assert failure.cache is not None
            assert failure.cache.expandable is not True
            assert "fragmentation" in kinds
        if "max_split_size_mb" in item.title:
            assert "limit" in kinds


def test_nothing_failed_and_nothing_is_the_cause() -> None:
    nothing = FailedAllocation(request=None, cache=None, processes=(), uses=(), growth=None, gpu=None, engines=())
    assert verdict_of(nothing) == ()
    assert list(explain(nothing, ())) == []


def refused_by(kind: Literal["cgroup", "mig"]) -> FailedAllocation:
    """3 GiB asked for, 1 left of the 10 that it may hold, 60 free on the whole GPU, much of it held by another."""
    other = ProcessShare(
        pid=2, name="python", label="python (pid 2)", user=None, used_bytes=9 * GIB, uses={}, is_failed=False,
        change=UsageChange(what="python (pid 2)", before_bytes=9 * GIB, after_bytes=9 * GIB, fell_bytes=0),
    )  # fmt: skip
    return FailedAllocation(
        request=FailedRequest(
            time=0.0, requested_bytes=3 * GIB, device_free_bytes=GIB, missing_bytes=2 * GIB, others_bytes=0, thread=None
        ),
        cache=None,
        processes=(other,) if kind == "cgroup" else (),
        uses=(),
        growth=None,
        gpu=None,
        engines=(),
        limit=KnownLimit(kind=kind, limit_bytes=10 * GIB, used_bytes=9 * GIB, whole_free_bytes=60 * GIB),
    )


@pytest.mark.parametrize(("total", "allowed"), [(None, ""), (20 * GIB, " (10.0 GiB)")])
def test_a_memory_fraction_is_told_by_its_name(total: int | None, allowed: str) -> None:
    failure = refused_by("mig")
    assert failure.request is not None
    limit = None if total is None else total // 2
    told_free = structs.replace(failure.request, device_free_bytes=9 * GIB)
    failure = structs.replace(
        failure,
        request=told_free,
        limit=KnownLimit(kind="fraction", limit_bytes=limit, used_bytes=9 * GIB, whole_free_bytes=9 * GIB, share=0.5),
    )
    (found,) = verdict_of(failure)
    assert found.cause == "limit"
    ((sentence,),) = (told.why for told in tell(failure, (found,)))
    assert f"set_per_process_memory_fraction) lets it hold 0.5 of the GPU{allowed}, and it had reserved" in sentence
    (advice,) = [item for item in advise(failure, (found,)) if "memory fraction" in item.title]
    assert advice.bytes == 9 * GIB


def test_a_memory_fraction_with_room_left_did_not_refuse() -> None:
    """9 GiB were held and 31 free, so that half of the GPU is 20 at least."""
    failure = refused_by("mig")
    assert failure.request is not None
    failure = structs.replace(
        failure,
        request=structs.replace(failure.request, device_free_bytes=31 * GIB),
        limit=KnownLimit(kind="fraction", limit_bytes=None, used_bytes=9 * GIB, whole_free_bytes=31 * GIB, share=0.5),
    )
    (found,) = verdict_of(failure)
    ((sentence,),) = (told.why for told in tell(failure, (found,)))
    assert (found.cause, "limit_used_bytes" in found.figures) == ("limit", False)
    assert "lets it hold" not in sentence


@pytest.mark.parametrize(("kind", "whose"), [("cgroup", "its cgroup"), ("mig", "its MIG instance")])
def test_a_limit_that_is_not_the_gpus_size_is_told_with_its_figures(kind: Literal["cgroup", "mig"], whose: str) -> None:
    failure = refused_by(kind)
    (found,) = verdict_of(failure)
    assert found.cause == "limit"
    ((sentence,),) = (told.why for told in tell(failure, (found,)))
    assert f"{whose} may hold 10.0 GiB and held 9.0 GiB, while 60.0 GiB were free on the whole GPU" in sentence
