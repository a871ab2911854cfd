"""The simulated KV cache and the requests that live on it."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blackbox.sources.simulated.kv_cache import NULL_PAGE, KvCache
from blackbox.sources.simulated.scheduler import PAGE_TOKENS, Scheduler

ADDRESS = 0x7F00_0000_0000
PAGE_BYTES = 4096


def a_cache(pages: int) -> KvCache:
    return KvCache(ADDRESS, PAGE_BYTES, pages)


def take_all(cache: KvCache) -> list[int]:
    pages: list[int] = []
    while (page := cache.take()) is not None:
        pages.append(page)
    return pages


def assert_consistent(cache: KvCache) -> None:
    pool, counts = cache.pool(), cache.counts
    address, size = pool.ranges[0]
    assert [page.address for page in pool.pages] == list(range(address, address + size, PAGE_BYTES))
    assert sum(page.size for page in pool.pages) == size
    assert counts.total == len(pool.pages)
    assert counts.used == sum(page.in_use for page in pool.pages)
    assert counts.cached == sum(page.cached and not page.in_use for page in pool.pages)
    assert counts.used + cache.unused == counts.total - 1
    null = pool.pages[NULL_PAGE]
    assert not null.in_use
    assert not null.cached


def test_the_null_page_is_never_handed_out() -> None:
    assert take_all(a_cache(5)) == [1, 2, 3, 4]


def test_usage_leaves_the_null_page_out() -> None:
    cache = a_cache(5)
    take_all(cache)
    assert cache.counts.usage_ratio == 1.0


def test_a_released_page_stays_cached_until_it_is_needed() -> None:
    cache = a_cache(3)
    page = cache.take()
    assert page is not None
    cache.fill(page, (1, 0))
    cache.release([page])
    assert cache.match([(1, 0), (1, 1)]) == [page]
    assert cache.counts.cached == 1
    take_all(cache)
    assert cache.match([(1, 0)]) == []
    assert cache.counts.cached == 0


def test_the_end_of_a_text_is_evicted_before_its_start() -> None:
    cache = a_cache(4)
    pages = take_all(cache)
    for place, page in enumerate(pages):
        cache.fill(page, (1, place))
    cache.release(pages)
    cache.take()
    assert cache.match([(1, 0), (1, 1), (1, 2)]) == pages[:2]


def test_a_shared_page_is_in_use_until_the_last_release() -> None:
    cache = a_cache(3)
    page = cache.take()
    assert page is not None
    cache.share([page])
    cache.release([page])
    assert cache.pool().pages[page].in_use
    cache.release([page])
    assert not cache.pool().pages[page].in_use


def test_the_same_content_is_cached_once() -> None:
    cache = a_cache(3)
    for page in take_all(cache):
        cache.fill(page, (1, 0))
    assert sum(page.cached for page in cache.pool().pages) == 1


def test_an_unchanged_cache_is_the_same_part() -> None:
    cache = a_cache(3)
    pool = cache.pool()
    assert cache.pool() is pool
    page = cache.take()
    assert page is not None
    changed = cache.pool()
    assert changed is not pool
    assert changed.pages[0] is pool.pages[0]


@given(seed=st.integers(0, 1_000), pages=st.integers(120, 400), steps=st.integers(1, 400))
def test_requests_and_pages_always_agree(seed: int, pages: int, steps: int) -> None:
    cache = a_cache(pages)
    scheduler = Scheduler(cache, Random(seed))
    for step in range(steps):
        scheduler.step(step * 0.5, 0.5)
    assert_consistent(cache)
    referenced = {page for request in scheduler.running for page in request.pages}
    assert referenced == {page.page_id for page in cache.pool().pages if page.in_use}
    assert not any(request.pages for request in scheduler.waiting)
    for request in scheduler.running:
        assert len(request.pages) == -(-request.tokens // PAGE_TOKENS)
        assert len(set(request.pages)) == len(request.pages)


def test_a_small_cache_under_load_preempts_hits_and_queues() -> None:
    cache = a_cache(200)
    scheduler = Scheduler(cache, Random(1))
    waited = 0
    for step in range(4_000):
        scheduler.step(step * 0.1, 0.1)
        waited = max(waited, len(scheduler.waiting))
    assert scheduler.preemptions > 0
    assert waited > 0
    assert 0 < scheduler.hit_ratio < 1


@pytest.mark.parametrize("pages", [160])
def test_every_request_ends(pages: int) -> None:
    cache = a_cache(pages)
    scheduler = Scheduler(cache, Random(3))
    seen = set()
    for step in range(2_000):
        scheduler.step(step * 0.1, 0.1)
        seen |= {request.number for request in scheduler.running}
        assert all(request.tokens <= request.tokens_end for request in scheduler.running)
    left = {request.number for request in (*scheduler.running, *scheduler.waiting)}
    assert len(seen - left) > 20
