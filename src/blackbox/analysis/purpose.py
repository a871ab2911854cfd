"""What the memory of a trace is for, and how that is told. What nothing tells is unknown, never guessed.

In this order: the program's own tag, the profiler, a rule of the user's own, the tensors that an agent saw in the
program, the frames of the stack, annotations by time, the course of the trace, the names of the user's own functions,
and last what an agent inferred.
"""

from array import array
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from blackbox.analysis.purpose_course import Annotation, Course, Span, course_of
from blackbox.analysis.purpose_frames import (
    ACTIVATIONS,
    AUTOGRAD_DETAIL,
    BACKWARD,
    CLEARING,
    FORWARD,
    GRADIENTS,
    GRAPH_POOLS,
    INPUT,
    NO_SIGN,
    OPTIMIZER,
    OPTIMIZER_STATE,
    PARAMETERS,
    WORKSPACES,
    StackSign,
)
from blackbox.analysis.purpose_phases import CODES
from blackbox.analysis.trace.bands import BlockKinds
from blackbox.analysis.trace.device_findings import CategoriesOf, Category, CategoryOf
from blackbox.analysis.trace.entries import NO_STACK
from blackbox.analysis.trace.layout import Segments, is_default
from blackbox.analysis.trace.passes import Alike
from blackbox.analysis.trace.replay import Replay

TAG, PROFILER, ANNOTATION, STACK, PATTERN = "tag", "profiler", "annotation", "stack", "pattern"
FRAMEWORK = "framework"
"""The allocator itself tells, by its pool."""
TENSOR = "tensor"
"""An agent saw the tensor in a module, an optimizer or a cache."""
TAGS_MAX = 64
"""Different tags in a file that are taken for names of categories; more are notes of another kind, such as numbers of
steps or requests."""
OUTLIVED = frozenset((CODES[BACKWARD], CODES[OPTIMIZER]))
"""Parts of a step of which it matters what lives longer than they do."""
NEVER = -1
"""The part of a step that frees a block which nothing frees."""
PROFILER_NAMES = {
    "parameter": PARAMETERS,
    "optimizer_state": OPTIMIZER_STATE,
    "input": INPUT,
    "temporary": WORKSPACES,
    "activation": ACTIVATIONS,
    "gradient": GRADIENTS,
    "autograd_detail": AUTOGRAD_DETAIL,
}
"""The words of PyTorch's profiler, as `torch.cuda._memory_viz` writes them into a file; a temporary is what one
operator makes and frees."""


class CategoryEvidence(NamedTuple):
    """What a file tells beside its trace. Stacks and tags are numbered as in the trace."""

    signs: Sequence[StackSign]
    tags: Sequence[str] = ()
    annotations: Sequence[Annotation] = ()
    stack_names: Mapping[int, str] = {}
    """Stack -> the category that a rule of the user's own gives it."""
    tag_names: Mapping[int, str] = {}
    """Tag -> the same."""
    held: Mapping[int, Category] = {}
    """Address of a block held at the end -> what an agent saw it belong to."""


class Purposes(NamedTuple):
    """What is told of one trace."""

    category_of: CategoryOf
    course: Course
    categories: CategoriesOf
    """Many blocks at once, which takes a fraction of the time."""


def categories(replayed: Replay, evidence: CategoryEvidence) -> CategoryOf:
    """What tells the category of each block of a trace."""
    return purposes(replayed, evidence).category_of


def purposes(replayed: Replay, evidence: CategoryEvidence) -> Purposes:
    """The same, and the course of the trace."""
    judge = _Judge(replayed, evidence)
    return Purposes(judge.category, judge.course, judge.categories)


class _Judge:
    """One trace, and what its blocks are judged by."""

    def __init__(self, replayed: Replay, evidence: CategoryEvidence) -> None:
        self._run = replayed
        self._evidence = evidence
        self.course: Course = course_of(replayed, evidence.signs, evidence.annotations)
        self._known: dict[tuple[object, ...], Category] = {}
        self._by_block: dict[int, Category] = {}
        """Of those that took more than a look at what they have in common."""
        self._tags_name = len(evidence.tags) <= TAGS_MAX
        self._private = _private_blocks(replayed, self.course)
        self._held = {
            block: evidence.held[address]
            for block in (self.course.lasting() if evidence.held else ())
            if (address := replayed.address_of(block)) in evidence.held
        }
        trace = replayed.trace
        is_plain = trace.tag is None and trace.category is None and not self._held and not self._private
        self._plain_until = trace.steps if is_plain and self.course.tells_alone else 0
        """Blocks below it are known by their stack and their life alone."""
        self._stack, self._freed, self._steps = trace.stack, replayed.freed, trace.steps
        self._codes, self._first_step = self.course.codes, self.course.first_step or 0
        self._alike: dict[tuple[int, int, int, bool], Category] = {}

    def category(self, block: int) -> Category:
        """What a block is for."""
        if block < self._plain_until:
            codes = self._codes
            born = codes[block]
            if born not in OUTLIVED:
                freed = self._freed[block]
                part = codes[freed] if freed < self._steps else NEVER
                clues = self._stack[block], born, part, block < self._first_step
                found = self._alike.get(clues)
                if found is None:
                    found = self._alike[clues] = self._looked_at(block)
                return found
        found = self._by_block.get(block)
        if found is None:
            found = self._by_block[block] = self._looked_at(block)
        return found

    def categories(self, blocks: "array[int]") -> BlockKinds:
        """The blocks by kind: all of one are of one category."""
        codes, until = self._codes, self._plain_until
        clues = Alike(until, self._stack, codes, OUTLIVED, self._freed, self._first_step)
        return self._run.passes.alike(blocks, clues)

    def _looked_at(self, block: int) -> Category:
        """Blocks of which the file tells the same are judged once."""
        trace = self._run.trace
        is_made = block < len(trace.action)
        stack = trace.stack[block] if is_made else self._run.stack_of(block)
        sign = NO_SIGN if stack == NO_STACK else self._evidence.signs[stack]
        clues = (
            stack,
            trace.tag[block] if trace.tag is not None and is_made else None,
            trace.category[block] if trace.category is not None and is_made else "",
            self._held.get(block),
            block in self._private,
            self.course.span(block, sign.phase),
        )
        found = self._known.get(clues)
        if found is None:
            found = self._known[clues] = self._judged(_Clues(*clues[:-1], Span(*clues[-1])), sign)
        return found

    def _judged(self, clues: "_Clues", sign: StackSign) -> Category:
        return (
            self._by_tag(clues.tag)
            or _by_profiler(clues.word)
            or self._by_rule(clues.stack)
            or _by_agent(clues.held)
            or _by_stack(sign, clues.is_private)
            or _by_part_of_step(clues.span)
            or self._by_course(clues.span, sign)
            or (Category(sign.own, STACK) if sign.own is not None else None)
            or clues.held
            or Category()
        )

    def _by_tag(self, number: int | None) -> Category | None:
        if number is None:
            return None
        name = self._evidence.tag_names.get(number) or (self._evidence.tags[number] if self._tags_name else "")
        return Category(name, TAG) if name else None

    def _by_rule(self, stack: int) -> Category | None:
        name = self._evidence.stack_names.get(stack)
        return Category(name, STACK) if name is not None else None

    def _by_course(self, span: Span, sign: StackSign) -> Category | None:
        if span.born_in == OPTIMIZER:
            return None
        lasts = span.before_steps and span.to_the_end
        if lasts and self.course.parameters_only and not sign.moved:
            return Category(PARAMETERS, PATTERN)
        if span.freed_in == BACKWARD:
            return Category(ACTIVATIONS, PATTERN)
        return Category(INPUT, STACK) if sign.moved and not lasts else None


class _Clues(NamedTuple):
    """All that the category of a block follows from."""

    stack: int
    tag: int | None
    """Number of the program's own note."""
    word: str
    """Of the profiler."""
    held: Category | None
    """What an agent saw it belong to."""
    is_private: bool
    """In a pool that serves nobody else."""
    span: Span


def _by_profiler(word: str) -> Category | None:
    name = PROFILER_NAMES.get(word)
    return Category(name, PROFILER) if name is not None else None


def _by_agent(held: Category | None) -> Category | None:
    return held if held is not None and held.source == TENSOR else None


def _by_stack(sign: StackSign, is_private: bool) -> Category | None:
    if sign.category in (None, ACTIVATIONS) and is_private:
        return Category(GRAPH_POOLS, FRAMEWORK)
    return None if sign.category is None else Category(sign.category, STACK)


def _by_part_of_step(span: Span) -> Category | None:
    if span.freed_in == CLEARING:
        return Category(GRADIENTS, PATTERN)
    if span.born_in == BACKWARD:
        return Category(GRADIENTS, PATTERN) if span.outlives else Category(AUTOGRAD_DETAIL, span.source)
    if span.born_in == OPTIMIZER and span.outlives is not None:
        return Category(OPTIMIZER_STATE if span.outlives else WORKSPACES, PATTERN)
    if span.born_in is None and span.freed_in == OPTIMIZER and span.before_steps:
        return Category(OPTIMIZER_STATE, PATTERN)
    if span.born_in in (FORWARD, INPUT):
        return Category(ACTIVATIONS if span.born_in == FORWARD else INPUT, span.source)
    return None


def _private_blocks(replayed: Replay, course: Course) -> frozenset[int]:
    """Blocks in pools that serve nobody else, as far as the file tells."""
    pools = replayed.trace.pool
    places = () if pools is None else (place for place, pool in enumerate(pools) if not is_default(pool))
    ends = replayed.end.segments
    if all(is_default(segment.pool) for segment in ends.values()):
        return frozenset(places)
    held = Segments({at: segment for at, segment in ends.items() if not is_default(segment.pool)})
    inside = (block for block in course.lasting() if held.containing(replayed.address_of(block)) is not None)
    return frozenset((*places, *inside))
