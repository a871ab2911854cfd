"""Requests to an inference server: they arrive, wait, fill pages of the KV cache token by token, and finish.

When the cache is full the newest request is preempted: its pages go back and it waits again, at the head.
"""

from collections import deque
from dataclasses import dataclass, field
from math import pi, sin
from random import Random

from blackbox.sources.simulated.kv_cache import Content, KvCache

PAGE_TOKENS = 32
RUNNING_MAX = 32
WAITING_MAX = 48
"""Clients beyond give up."""
TOKENS_PER_SECOND = 32
"""One request's share of the decoding."""
ARRIVALS_PER_SECOND = 0.46
TIDE_RATIO = 0.85
"""How far arrivals swing about their mean."""
TIDE_SECONDS = 150.0
CONVERSATIONS = 8
"""System prompts in use, each a prefix that requests share."""
CONVERSATION_PAGES = 16
QUESTION_TOKENS = (150, 1800)
ANSWER_TOKENS = (120, 900)


@dataclass(eq=False, slots=True)
class InferenceRequest:
    """One request; `pages` are its page table while it runs."""

    number: int
    conversation: int
    tokens: int
    """In the context so far: prompt, then also what was generated."""
    tokens_end: int
    pages: list[int] = field(default_factory=list[int])

    def content(self, place: int) -> Content:
        """What the page at `place` of its context holds when full."""
        return (-self.conversation if place < CONVERSATION_PAGES else self.number, place)


class Scheduler:
    """Decides which requests run, on the pages of one cache."""

    def __init__(self, cache: KvCache, rng: Random) -> None:
        self.running: list[InferenceRequest] = []
        self.waiting: deque[InferenceRequest] = deque()
        self.preemptions = 0
        self.prefilled_tokens = 0
        """Computed in the last step for requests that began to run."""
        self._cache = cache
        self._rng = rng
        self._requests = 0
        self._queried_tokens = 0
        self._hit_tokens = 0

    @property
    def hit_ratio(self) -> float:
        """Share of the prompt tokens that were found in the cache, since the start."""
        return self._hit_tokens / self._queried_tokens if self._queried_tokens else 0.0

    def step(self, now: float, seconds: float) -> None:
        """Lets `seconds` pass."""
        self._arrive(now, seconds)
        self._admit()
        for request in list(self.running):
            if request in self.running:
                self._decode(request, round(TOKENS_PER_SECOND * seconds))

    def _arrive(self, now: float, seconds: float) -> None:
        rate = ARRIVALS_PER_SECOND * (1 + TIDE_RATIO * sin(2 * pi * now / TIDE_SECONDS))
        if self._rng.random() >= rate * seconds or len(self.waiting) >= WAITING_MAX:
            return
        self._requests += 1
        prompt = CONVERSATION_PAGES * PAGE_TOKENS + self._rng.randint(*QUESTION_TOKENS)
        self.waiting.append(
            InferenceRequest(
                number=self._requests,
                conversation=self._rng.randrange(CONVERSATIONS),
                tokens=prompt,
                tokens_end=prompt + self._rng.randint(*ANSWER_TOKENS),
            )
        )

    def _admit(self) -> None:
        self.prefilled_tokens = 0
        while self.waiting and len(self.running) < RUNNING_MAX:
            request = self.waiting[0]
            full = (request.tokens - 1) // PAGE_TOKENS
            hits = self._cache.match(request.content(place) for place in range(full))
            fresh = -(-request.tokens // PAGE_TOKENS) - len(hits)
            if not self._cache.can_serve(hits, fresh):
                return
            self._cache.share(hits)
            request.pages = list(hits)
            for _ in range(fresh):
                self._grow(request)
            for place in range(len(hits), request.tokens // PAGE_TOKENS):
                self._cache.fill(request.pages[place], request.content(place))
            self._queried_tokens += request.tokens
            self._hit_tokens += PAGE_TOKENS * len(hits)
            self.prefilled_tokens += PAGE_TOKENS * fresh
            self.running.append(self.waiting.popleft())

    def _decode(self, request: InferenceRequest, tokens: int) -> None:
        for _ in range(tokens):
            if request.tokens == request.tokens_end:
                self._stop(request)
                return
            if request.tokens == PAGE_TOKENS * len(request.pages):
                self._cache.fill(request.pages[-1], request.content(len(request.pages) - 1))
                while not self._grow(request):
                    self._preempt(self.running[-1])
                    if request not in self.running:
                        return
            request.tokens += 1

    def _grow(self, request: InferenceRequest) -> bool:
        page = self._cache.take()
        if page is not None:
            request.pages.append(page)
        return page is not None

    def _preempt(self, request: InferenceRequest) -> None:
        self._stop(request)
        self.waiting.appendleft(request)
        self.preemptions += 1

    def _stop(self, request: InferenceRequest) -> None:
        self.running.remove(request)
        self._cache.release(request.pages)
        request.pages = []
