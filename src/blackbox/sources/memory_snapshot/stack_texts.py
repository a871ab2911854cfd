"""Stacks and tags of a snapshot, numbered: as they are shown, and what they tell of the memory allocated there."""

from collections.abc import Mapping, Sequence
from typing import Any

from blackbox.analysis.purpose import CategoryEvidence
from blackbox.analysis.purpose_course import Annotation
from blackbox.analysis.purpose_frames import FrameSign, StackSign, sign_of_frame, sign_of_stack
from blackbox.analysis.rules import CategoryRules
from blackbox.analysis.trace.entries import NO_STACK
from blackbox.wire.frames import frame_text, frame_word, program_frames

FRAMES_MAX = 64
ALL_FRAMES_MAX = 512
"""Read of a stack to tell what it is of: some hundreds of frames of C++ stand between those of Python."""
FRAME_CHARS_MAX = 200
"""Names of C++ templates go on for kilobytes."""
NAME_CHARS_MAX = 1000
"""Of these, what they are of stands at the beginning."""
TAG_CHARS_MAX = 120
"""As a line of a report has room for."""

Frames = Sequence[Mapping[str, Any]]


class StackTexts:
    """Numbers stacks and tags. Frames are known by identity, as one object stands for each distinct one."""

    def __init__(self, rules: CategoryRules) -> None:
        self.lines: list[tuple[str, ...]] = []
        """By number: the frames shown. Stacks that differ in what their other frames say read the same."""
        self.tags: dict[str, int] = {"": 0}
        self._rules = rules
        self._signs: list[StackSign] = []
        self._names: dict[int, str] = {}
        """By number: the category that a rule of the user's own gives."""
        self._numbers: dict[tuple[tuple[str, ...], StackSign, str | None], int] = {}
        self._by_frames: dict[tuple[int, ...], int] = {}
        self._parts: dict[tuple[int, ...], str | None] = {}
        self._frame_lines: dict[int, str] = {}
        self._kinds: dict[FrameSign, int] = {}
        """Numbers of what frames say, of which there are few."""
        self._said: list[FrameSign] = []
        """By these."""
        self._frame_kinds: dict[int, int] = {}
        self._function_kinds: dict[tuple[str, str], int] = {}
        self._signs_of_kinds: dict[tuple[int, ...], StackSign] = {}
        self._frame_rules: dict[int, int | None] = {}

    def stack(self, frames: Frames | None) -> int:
        """The number of a stack; `NO_STACK` where none was recorded."""
        if not frames:
            return NO_STACK
        key = tuple(map(id, frames))
        number = self._by_frames.get(key)
        if number is None:
            number = self._by_frames[key] = self._number(frames)
        return number

    def tag(self, text: object) -> int:
        """The number of a note of the program."""
        note = text[:TAG_CHARS_MAX] if isinstance(text, str) else ""
        return self.tags.setdefault(note, len(self.tags))

    def is_settled(self, number: int) -> bool:
        """Whether a stack alone tells what the memory is for."""
        return number != NO_STACK and self._signs[number].category is not None

    def part(self, frames: Frames) -> str | None:
        """The part of a step that a stack is of."""
        key = tuple(map(id, frames))
        if key not in self._parts:
            self._parts[key] = self._sign(frames).part
        return self._parts[key]

    def evidence(self, annotations: Sequence[Annotation]) -> CategoryEvidence:
        """All that was numbered, and the scopes of the file."""
        named = ((number, self._rules.category_of(tag)) for tag, number in self.tags.items())
        return CategoryEvidence(
            signs=self._signs,
            tags=tuple(self.tags),
            annotations=annotations,
            stack_names=self._names,
            tag_names={number: name for number, name in named if name is not None},
        )

    def _number(self, frames: Frames) -> int:
        known, shown = self._frame_lines, self._program_frames(frames)[:FRAMES_MAX]
        lines = tuple([known.get(id(frame)) or self._line(frame) for frame in shown])
        sign, name = self._sign(frames), self._name(frames)
        number = self._numbers.setdefault((lines, sign, name), len(self.lines))
        if number == len(self.lines):
            self.lines.append(lines)
            self._signs.append(sign)
            if name is not None:
                self._names[number] = name
        return number

    def _line(self, frame: Mapping[str, Any]) -> str:
        line = self._frame_lines.get(id(frame))
        if line is None:
            line = self._frame_lines[id(frame)] = frame_text(frame)[:FRAME_CHARS_MAX]
        return line

    def _sign(self, frames: Frames) -> StackSign:
        """What its kinds of frames say, each where it first stands, and the outermost of Python. How often a kind is
        there matters nothing."""
        kinds, said = self._kinds_of(frames), self._said
        outermost = next((kind for kind in reversed(kinds) if said[kind].python), None)
        key = (*dict.fromkeys(kinds), *(() if outermost is None else (outermost,)))
        sign = self._signs_of_kinds.get(key)
        if sign is None:
            sign = self._signs_of_kinds[key] = sign_of_stack([said[kind] for kind in key])
        return sign

    def _program_frames(self, frames: Frames) -> Frames:
        """Those of Python; where there are none, see `program_frames`."""
        if len(frames) > ALL_FRAMES_MAX:
            return program_frames(frames)
        said = self._said
        python = [frame for frame, kind in zip(frames, self._kinds_of(frames), strict=True) if said[kind].python]
        return python or program_frames(frames)

    def _kinds_of(self, frames: Frames) -> Sequence[int]:
        first = frames[:ALL_FRAMES_MAX]
        kinds = list(map(self._frame_kinds.get, map(id, first)))
        return [self._kind(frame) if kind is None else kind for frame, kind in zip(first, kinds, strict=True)]

    def _kind(self, frame: Mapping[str, Any]) -> int:
        function = frame_word(frame, "filename")[-FRAME_CHARS_MAX:], frame_word(frame, "name")[:NAME_CHARS_MAX]
        kind = self._function_kinds.get(function)
        if kind is None:
            sign = sign_of_frame(*function)
            kind = self._function_kinds[function] = self._kinds.setdefault(sign, len(self._said))
            if kind == len(self._said):
                self._said.append(sign)
        self._frame_kinds[id(frame)] = kind
        return kind

    def _name(self, frames: Frames) -> str | None:
        """What the first rule that matches a frame says; the order of the rules counts, not that of the frames."""
        if not self._rules.patterns:
            return None
        hits = [hit for frame in frames[:ALL_FRAMES_MAX] if (hit := self._rule(frame)) is not None]
        return self._rules.names[min(hits)] if hits else None

    def _rule(self, frame: Mapping[str, Any]) -> int | None:
        if id(frame) not in self._frame_rules:
            self._frame_rules[id(frame)] = self._rules.first(self._line(frame))
        return self._frame_rules[id(frame)]
