"""A paged KV cache: pages counted by reference, kept for later hits when released, evicted oldest first.

Page 0 is the null page, the placeholder of page tables: it never holds anything and is never handed out.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from blackbox.model.parts import KvPage, KvPool

Content = tuple[int, int]
"""What a full page holds: the text it belongs to, and its place there."""

NULL_PAGE = 0


class KvCounts(NamedTuple):
    """Pages by state. `used + cached` never exceeds `total - 1`: the null page is neither."""

    total: int
    used: int
    cached: int
    """Evictable: held for later hits, in use by nobody."""

    @property
    def usage_ratio(self) -> float:
        return self.used / (self.total - 1)


class KvCache:
    """Pages of `page_bytes` in one tensor at `address`."""

    def __init__(self, address: int, page_bytes: int, pages: int) -> None:
        self._address = address
        self._page_bytes = page_bytes
        self._references = [0] * pages
        self._contents: list[Content | None] = [None] * pages
        self._holder: dict[Content, int] = {}
        self._unused: dict[int, None] = dict.fromkeys(range(1, pages))
        """Pages nobody references, next to be handed out first."""
        self._views = [self._view(page) for page in range(pages)]
        self._stale: set[int] = set()
        self._pool: KvPool | None = None

    @property
    def unused(self) -> int:
        """Pages that can be handed out, cached ones included."""
        return len(self._unused)

    @property
    def counts(self) -> KvCounts:
        total = len(self._references)
        cached = sum(1 for page in self._holder.values() if self._references[page] == 0)
        return KvCounts(total=total, used=total - 1 - self.unused, cached=cached)

    def match(self, contents: Iterable[Content]) -> list[int]:
        """Pages holding the longest known start of `contents`."""
        pages: list[int] = []
        for content in contents:
            page = self._holder.get(content)
            if page is None:
                break
            pages.append(page)
        return pages

    def can_serve(self, matched: Sequence[int], fresh: int) -> bool:
        """Whether `fresh` pages are left once the matched ones are referenced."""
        return self.unused - sum(1 for page in matched if self._references[page] == 0) >= fresh

    def share(self, pages: Iterable[int]) -> None:
        """One more reference to each."""
        for page in pages:
            self._references[page] += 1
            self._unused.pop(page, None)
            self._stale.add(page)

    def take(self) -> int | None:
        """A page for new content, its old content forgotten; None when every page is in use."""
        page = next(iter(self._unused), None)
        if page is None:
            return None
        old = self._contents[page]
        if old is not None:
            del self._holder[old]
            self._contents[page] = None
        self.share([page])
        return page

    def fill(self, page: int, content: Content) -> None:
        """The page is full: later requests may hit it, unless another page holds the same already."""
        if content not in self._holder:
            self._holder[content] = page
            self._contents[page] = content
            self._stale.add(page)

    def release(self, pages: Sequence[int]) -> None:
        """One reference less to each. The ends of texts are evicted before their starts."""
        for page in reversed(pages):
            self._references[page] -= 1
            self._stale.add(page)
            if self._references[page] == 0:
                self._unused[page] = None

    def pool(self) -> KvPool:
        """The cache as a part of a sample; the same object until something changes."""
        if self._pool is None or self._stale:
            for page in self._stale:
                self._views[page] = self._view(page)
            self._stale.clear()
            size = self._page_bytes * len(self._references)
            self._pool = KvPool(ranges=((self._address, size),), pages=tuple(self._views))
        return self._pool

    def _view(self, page: int) -> KvPage:
        return KvPage(
            page_id=page,
            address=self._address + page * self._page_bytes,
            size=self._page_bytes,
            in_use=self._references[page] > 0,
            cached=self._contents[page] is not None,
        )
