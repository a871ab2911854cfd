"""Entries of a trace, recognised in the bytes of a pickle by one regular expression for each kind of them.

PyTorch writes the entries of one kind with the same keys in the same order. The expression that the first of them gives
finds the values of all others at once; no object is made of an entry.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any

SETITEMS = b"u"
GET = rb"h.|j...."
MANY = rb"(?:h.h.h.h.|h.|j....j....|j....)++"
"""The same many times; several at once take a third less time."""
NUMBER = rb"K.|M..|J....|\x8a(?:\x06......|\x07.......|\x05.....|\x08........)"
TEXT = rb"\x8c(?:" + b"|".join(re.escape(bytes([count])) + rb".{%d}" % count for count in range(128)) + rb")\x94"
"""Written out, and remembered; longer ones are read one by one."""
FRAMES = rb"\]\x94(?:\(" + MANY + rb"e|(?:" + GET + rb")a|(?=[hju]))"
POOL = rb"(?:K.|M..|J.{4}){2}\x86\x94"
CONSTANT = rb"[N\x88\x89]"

KEY = re.compile(rb"(" + GET + rb")", re.DOTALL)
TEXT_KEYS = ("user_metadata", "compile_context", "category")
KINDS: dict[str, bytes] = {
    "frames": FRAMES + rb"|" + GET,
    "pool_id": POOL + rb"|" + GET,
    **dict.fromkeys(TEXT_KEYS, TEXT + rb"|" + GET),
}
"""What may stand at a key, written out or referred to. At any other: a number or a constant, or a reference."""
SCALAR = NUMBER + rb"|" + CONSTANT + rb"|" + GET
REFERENCES = re.compile(MANY, re.DOTALL)
REFERENCE = re.compile(GET, re.DOTALL)
BEGIN = b"}\x94("
"""A dict, remembered, and its items to come."""
FIRST_KEY = "action"
SHORT_TEXT, MEMOIZE, TEXT_BYTES_MAX = 0x8C, 0x94, 127
TIME_BYTES, SIGN_OF_TIMES = 9, 1 << 55
"""Of microseconds since 1970, until the year 3111: opcode, length and seven bytes; and where their sign is."""
KEYS_MAX = 24
"""Of an entry; PyTorch 2.15 writes ten."""
SHAPES_MAX = 16
"""Kinds of entries: with and without stacks, refusals, and what of their values is written in another way."""


class EntryShape:
    """One kind of entries."""

    def __init__(self, keys: tuple[str, ...], references: tuple[bytes, ...]) -> None:
        self.keys = keys
        self.references = references
        """To the texts of these, which stand elsewhere."""
        self.remembered = tuple(key for key in keys if key in KINDS)
        """Those whose values may be written out, so that others refer to them."""
        self._match: Callable[[bytes, int], re.Match[bytes] | None] | None = None

    @property
    def match(self) -> "Callable[[bytes, int], re.Match[bytes] | None]":
        """Finds an entry, whose values are its groups, in order. Compiled when first asked for: the compiled reader
        does without, and ten milliseconds are a tenth of what it takes."""
        if self._match is None:
            parts = [re.escape(BEGIN)]
            for key, reference in zip(self.keys, self.references, strict=True):
                parts += [re.escape(reference), rb"(" + KINDS.get(key, SCALAR) + rb")"]
            self._match = re.compile(b"".join(parts) + SETITEMS, re.DOTALL).match
        return self._match


def learn(data: bytes, pos: int, key_of: Callable[[bytes], Any]) -> EntryShape | None:
    """The shape of the entry at `pos`; None where that is none, or one whose keys are written there for the first time.

    `key_of` looks up what a reference is to.
    """
    if not data.startswith(BEGIN, pos):
        return None
    at = pos + len(BEGIN)
    keys, references = list[str](), list[bytes]()
    while len(keys) < KEYS_MAX and not data.startswith(SETITEMS, at):
        key = KEY.match(data, at)
        if key is None:
            return None
        name = key_of(key[0])
        if not isinstance(name, str) or (not keys and name != FIRST_KEY):
            return None
        at = _end_of_value(name, data, key.end())
        if at is None:
            return None
        keys.append(name)
        references.append(key[0])
    if not data.startswith(SETITEMS, at) or "size" not in keys or len(set(keys)) != len(keys):
        return None
    return EntryShape(tuple(keys), tuple(references))


def _end_of_value(key: str, data: bytes, at: int) -> int | None:
    """Where the value of a key ends; None where it is of another kind."""
    if key in TEXT_KEYS and data[at] == SHORT_TEXT:  # the expression has 128 branches: it takes as long as a small file
        end = at + 2 + data[at + 1]
        return end + 1 if data[at + 1] <= TEXT_BYTES_MAX and data[end : end + 1] == bytes([MEMOIZE]) else None
    value = re.compile(GET if key in TEXT_KEYS else KINDS.get(key, SCALAR), re.DOTALL).match(data, at)
    return None if value is None else value.end()


def references(body: bytes) -> Sequence[bytes]:
    """The single references in a run of them."""
    return REFERENCE.findall(body)


def index_of(reference: bytes) -> int:
    """What is referred to, by its number."""
    return reference[1] if reference[0] == 0x68 else int.from_bytes(reference[1:5], "little")


def number_of(value: bytes) -> int:
    """A whole number, as it is written. Raises `ValueError` for what is none."""
    kind = value[0]
    if kind == 0x8A:
        return int.from_bytes(value[2:], "little", signed=True)
    if kind == 0x4B:
        return value[1]
    if kind == 0x4D:
        return value[1] | value[2] << 8
    if kind == 0x4A:
        return int.from_bytes(value[1:5], "little", signed=True)
    raise ValueError("not a number")


def times_of(values: Sequence[bytes]) -> Sequence[int]:
    """Whole numbers, as they are written, most of them of seven bytes. Raises `ValueError` for what is none."""
    if set(map(len, values)) != {TIME_BYTES}:
        return list(map(number_of, values))
    times = [int.from_bytes(value, "little") >> 16 for value in values]
    return list(map(number_of, values)) if max(times) >= SIGN_OF_TIMES else times
