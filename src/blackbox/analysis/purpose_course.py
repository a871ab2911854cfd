"""The course of a trace: which part of a training step each entry belongs to, and which parts a block lives through."""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import compress
from typing import NamedTuple

from blackbox.analysis.purpose_frames import (
    BACKWARD,
    CLEARING,
    FORWARD,
    INPUT,
    MAIN,
    OPTIMIZER,
    SETUP,
    StackSign,
)
from blackbox.analysis.purpose_phases import CODES, Phases
from blackbox.analysis.trace.entries import ALLOC, FREE_REQUESTED, NO_STACK, selecting
from blackbox.analysis.trace.moments import refusals
from blackbox.analysis.trace.replay import Replay

RELEASED_SHARE_MIN = 0.9
"""A forward pass that nothing follows keeps hardly anything; one that a backward pass follows keeps most."""
UNMARKED_SHARE_MIN = 0.5
"""Of a program without any forward pass less is known: it serves where it frees more of its blocks than it keeps."""
STATE_SHARE_MIN = 0.25
"""State made by the first step takes at least this share of the gradients: in 8 bits beside gradients of 32."""
GRADIENTS_SHARE_MIN = 0.1
"""And gradients at least this share of the state: in 16 bits beside two moments and a copy of 32. Fewer are added to
gradients that were there before."""
OF_A_SCOPE = {
    "forward": FORWARD,
    "forward pass": FORWARD,
    "backward": BACKWARD,
    "backward pass": BACKWARD,
    "optimizer": OPTIMIZER,
    "optimizer step": OPTIMIZER,
    "zero grad": CLEARING,
}
"""Scopes (`record_function`) that people name after the part of the step; written in any way, as `## forward ##`."""
OF_PYTORCH = {
    "Optimizer.step#": OPTIMIZER,
    "Optimizer.zero_grad#": CLEARING,
    "enumerate(DataLoader)#": INPUT,
}
"""Scopes that PyTorch records by itself, by how their names begin."""
PROFILER_STEP = "ProfilerStep#"
"""The scope of each step of `torch.profiler`, whatever the program does in it."""


class Annotation(NamedTuple):
    """A scope that the program went through."""

    name: str
    start_us: int
    end_us: int | None
    """None: it had not ended."""


class Span(NamedTuple):
    """The life of a block, in parts of a step."""

    born_in: str | None
    source: str
    """How `born_in` is told: `stack`, `annotation` or `pattern`."""
    freed_in: str | None
    outlives: bool | None
    """It lived on when that part of the step was over; None: the trace does not tell, as a refusal came before."""
    before_steps: bool
    """It was there before the first forward or backward pass of the trace."""
    to_the_end: bool
    """It is never freed."""


SpanFields = tuple[str | None, str, str | None, bool | None, bool, bool]
"""Those of a `Span`, in its order."""


class Parts(NamedTuple):
    """By entry: the part of a step."""

    phase: Phases
    annotated: frozenset[int]
    """Those told by an annotation."""
    inferred: frozenset[int]
    """Those that nothing tells but that no stack of Python was there, where all others have one."""
    profiler_steps: list[int]
    """The first entry of each step of a profiler."""


class Course:
    """The parts of a trace, and when each of its blocks is freed."""

    def __init__(self, replayed: Replay, parts: Parts) -> None:
        self._run, self._parts = replayed, parts
        phase = parts.phase
        self.codes = phase.codes
        """By entry, the code of its part of a step."""
        self.tells_alone = not parts.annotated and not parts.inferred
        """What is born in a part of a step is told by stacks alone."""
        self._breaks: dict[str, list[int]] = {}
        """By part of a step, as far as it was asked for: the entries of all others."""
        self._refusals = refusals(replayed)
        self.first_step = phase.first((FORWARD, BACKWARD))
        """The first entry of a forward or backward pass; None: there is none."""
        self.trains = phase.has_any((BACKWARD, OPTIMIZER, CLEARING))
        """Some of it is of a training step."""
        self.parameters_only = self._is_complete() if self.trains else self._releases()
        """What lives over all steps is neither state of an optimizer nor a gradient."""

    def span(self, block: int, part: str | None) -> SpanFields:
        """The life of a block, as the fields of a `Span`, of which a trace has many; `part` is the one that its stack
        is of, for a block that is older than the trace."""
        run, first, phase = self._run, self.first_step, self._parts.phase
        if block >= run.trace.steps:
            born = run.first - 1
        else:
            born, part = block, phase[block]
        freed = run.freed[block] if run.freed[block] < run.trace.steps else None
        source = "stack"
        if block in self._parts.annotated:
            source = "annotation"
        elif block in self._parts.inferred:
            source = "pattern"
        return (
            part,
            source,
            None if freed is None else phase[freed],
            self._outlives(born, part, freed) if part in (BACKWARD, OPTIMIZER) and run.steps else None,
            first is not None and born < first,
            freed is None,
        )

    def optimizer_steps(self) -> list[int]:
        """Where each step of an optimizer begins: all that it needs is held then, and activations are gone."""
        return self._begins(OPTIMIZER)

    def _begins(self, wanted: str) -> list[int]:
        """Where a part of a step begins, after another."""
        return [start for part, start, _ in self._parts.phase.runs() if part == wanted]

    def step_starts(self) -> list[int]:
        """Where each step of the program begins: of its optimizer, else of its profiler (`ProfilerStep#...`), else,
        where it does not train, each forward pass after something else ran."""
        if self.trains:
            return self.optimizer_steps() or self._parts.profiler_steps
        return self._parts.profiler_steps or self._begins(FORWARD)

    def unmarked_from(self) -> int | None:
        """The entry from which rounds of a program may be looked for whose steps nothing marks: nothing is set up any
        more. None where it trains, or keeps what it makes: a forward pass alone looks like a leak until its end; and
        where no stacks were recorded, which tell KV cache from it."""
        run, codes = self._run, self._parts.phase.codes
        begin = max(run.first, codes.rfind(CODES[SETUP]) + 1)
        if self.trains or (self._parts.phase.has_any((FORWARD,)) and not self._releases()):
            return None
        made = run.trace.action[begin:].translate(selecting((ALLOC,)))
        if all(stack == NO_STACK for stack in compress(run.trace.stack[begin:], made)):
            return None
        return begin if self._released_since(begin) > UNMARKED_SHARE_MIN else None

    def parts(self) -> Iterator[tuple[str, int, int]]:
        """The parts of steps in turn: name, position of the first entry, and of the first one after it."""
        return (run for run in self._parts.phase.runs() if run[0] != MAIN)

    def lasting(self) -> Iterator[int]:
        """Blocks that are never freed."""
        run, never = self._run, self._run.trace.steps
        yield from (block for block in run.start_blocks() if run.freed[block] == never)
        yield from (place for place in run.trace.places_of(ALLOC, run.first) if run.freed[place] == never)

    def _outlives(self, block: int, part: str, freed: int | None) -> bool | None:
        return self._lives_past(self._next_break(part, block), block, freed)

    def _next_break(self, part: str, after: int) -> int | None:
        """The first entry after this one that is of another part."""
        breaks = self._breaks.get(part)
        if breaks is None:
            breaks = self._breaks[part] = self._parts.phase.others(part)
        return _next(breaks, after)

    def _lives_past(self, end: int | None, block: int, freed: int | None) -> bool | None:
        """`end` is where another part than the block's own begins."""
        refused = _next(self._refusals, block)
        if refused is not None and (end is None or refused < end) and (freed is None or refused < freed):
            return None
        return True if freed is None else end is not None and freed >= end

    def _is_complete(self) -> bool:
        """The trace has the birth of the gradients and of the optimizer's state: what is older is neither."""
        gradients, state = self._born(BACKWARD), self._born(OPTIMIZER)
        return state > 0 and state >= STATE_SHARE_MIN * gradients and gradients >= GRADIENTS_SHARE_MIN * state

    def _born(self, part: str) -> int:
        """The most bytes that one run of that part of a step made, and that outlived it."""
        run, phase = self._run, self._parts.phase
        made = phase.of(part, run.trace.places_of(ALLOC, run.first))
        most = now = 0
        end: int | None = run.first
        for place in made:
            if end is not None and place >= end:
                now, end = 0, self._next_break(part, place)
            freed = run.freed[place]
            if self._lives_past(end, place, freed if freed < run.trace.steps else None):
                now += run.size[place]
                most = max(most, now)
        return most

    def _releases(self) -> bool:
        """What forward passes made was freed at once: nothing is kept for a backward pass."""
        run, phase = self._run, self._parts.phase
        if not phase.has_any((FORWARD,)):
            return False
        made = phase.of(FORWARD, run.trace.places_of(ALLOC, run.first))
        made = made[: bisect_left(made, self._first_refusal())]
        freed = sum(map(self._first_refusal().__gt__, map(run.freed.__getitem__, made)))
        return freed / max(1, len(made)) >= RELEASED_SHARE_MIN

    def _released_since(self, begin: int) -> float:
        """Of the allocations from there on, as far as they were made before the first refusal, the share that was freed
        before it."""
        run, until = self._run, self._first_refusal()
        made = run.trace.action.count(ALLOC, begin, until)
        kept = sum(1 for _ in run.passes.there(run.trace.action, run.freed, begin, until)) if made else 0
        return (made - kept) / max(1, made)

    def _first_refusal(self) -> int:
        """Where there is none: the end."""
        return self._refusals[0] if self._refusals else self._run.trace.steps


def course_of(replayed: Replay, signs: Sequence[StackSign], annotations: Sequence[Annotation]) -> Course:
    """The course of a trace; `signs` by the number of the stack."""
    trace = replayed.trace
    codes = [*(CODES[sign.part] for sign in signs), CODES[None]]  # the last: of NO_STACK
    told = array("B", trace.freed_in or bytes(trace.steps))
    replayed.passes.told(trace.action, (ALLOC,), trace.stack, codes.__getitem__, told, replayed.first)
    phase = Phases(bytearray(told))
    annotated = frozenset(_annotate(replayed, phase, annotations))
    inferred: frozenset[int] = frozenset()
    if _only_python(signs) and phase.has_any((BACKWARD, OPTIMIZER, CLEARING)):
        made = trace.places_of(ALLOC, replayed.first)
        inferred = frozenset(place for place in made if trace.stack[place] == NO_STACK and phase[place] is None)
        for place in inferred:
            phase[place] = BACKWARD
    return Course(replayed, Parts(phase, annotated, inferred, _profiler_steps(replayed, annotations)))


def _profiler_steps(replayed: Replay, annotations: Sequence[Annotation]) -> list[int]:
    trace = replayed.trace
    begun = sorted(scope.start_us for scope in annotations if scope.name.startswith(PROFILER_STEP))
    if trace.time_us is None or not begun or not replayed.has_order_of_time():
        return []
    found = dict.fromkeys(bisect_right(trace.time_us, time - 1) for time in begun)
    return [place for place in found if replayed.first <= place < trace.steps]


def _annotate(replayed: Replay, phase: Phases, annotations: Sequence[Annotation]) -> Iterator[int]:
    """Sets the part of entries whose stack tells none, by the innermost scope around them; yields these."""
    trace = replayed.trace
    scopes = [(scope, part) for scope in annotations if (part := _part_of(scope.name)) is not None]
    if trace.time_us is None or not scopes or not replayed.has_order_of_time():
        return
    begins = sorted(scopes, key=lambda scope: scope[0].start_us)
    active: list[tuple[Annotation, str]] = []
    place = 0
    for at in range(replayed.first, trace.steps):
        now = trace.time_us[at]
        while place < len(begins) and begins[place][0].start_us <= now:
            active.append(begins[place])
            place += 1
        while active and active[-1][0].end_us is not None and active[-1][0].end_us < now:
            active.pop()
        if active and trace.action[at] in (ALLOC, FREE_REQUESTED) and phase[at] in (None, MAIN):
            phase[at] = active[-1][1]
            yield at


def _part_of(name: str) -> str | None:
    for begin, part in OF_PYTORCH.items():
        if name.startswith(begin):
            return part
    words = " ".join("".join(letter if letter.isalpha() else " " for letter in name.lower()).split())
    return OF_A_SCOPE.get(words)


def _next(places: Sequence[int], after: int) -> int | None:
    place = bisect_right(places, after)
    return places[place] if place < len(places) else None


def _only_python(signs: Sequence[StackSign]) -> bool:
    return bool(signs) and not any(sign.has_native for sign in signs)
