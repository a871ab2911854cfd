"""Which frames of a recorded stack say what ran, and how a frame is put into words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PYTHON = (".py", ">")
"""Ends of the names of files that frames of Python are in: `<stdin>`, `<ipython-input-3>`."""
MACHINERY = re.compile(
    r"torch::unwind|torch::CapturedTraceback|torch::(cuda|xpu)::\(anonymous namespace\)::gather"
    r"|c10::(cuda|hip|xpu)::(CUDA|HIP|XPU)?CachingAllocator|c10::CachingAllocator|c10::(cuda|hip)::\w*Allocator"
    r"|c10::(StorageImpl|GetAllocator)|(at::TensorBase )?at::detail::_?empty|at::native::empty|at::_ops::empty"
    r"|at::(cuda::)?empty|at::\(anonymous namespace\)::(\(anonymous namespace\)::)?(wrapper_CUDA_+\w*empty|create_out)"
    r"|c10::impl::wrap_kernel_functor"
)
"""The unwinder, the recorder, the allocator, and what leads to it from every operator alike."""
LINE = re.compile(r"(?P<file>.*?):(?P<line>[0-9]{1,9}) (?P<name>.*)")
UNKNOWN = ("", "??", ":0")
"""What stands where the unwinder found no name, or no file."""


def frames_of(block: Mapping[str, Any]) -> Sequence[Mapping[str, Any]] | None:
    """Of a live block: who allocated it. Up to PyTorch 2.0 that is the first item of its `history`, the newest."""
    frames = block.get("frames")
    if frames:
        return frames
    history = block.get("history")
    return history[0].get("frames") if history else None


def program_frames(frames: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """The Python among them; of C++ alone, what is outside of the allocator and of what recorded it."""
    python = [frame for frame in frames if frame_word(frame, "filename").endswith(PYTHON)]
    if python:
        return python
    for place, frame in enumerate(frames):
        name = frame_word(frame, "name")
        if name not in UNKNOWN and MACHINERY.match(name) is None:
            return frames[place:]
    return frames


def frame_of(text: str) -> dict[str, Any]:
    """The frame that `frame_text` put into words."""
    found = LINE.fullmatch(text)
    if found is None:
        return {"filename": "", "line": 0, "name": text}
    return {"filename": found["file"], "line": int(found["line"]), "name": found["name"]}


def frame_text(frame: Mapping[str, Any]) -> str:
    """`file:line function`; the function alone where nobody knows its file."""
    file, name = frame_word(frame, "filename"), frame_word(frame, "name")
    line = frame.get("line")
    return name if file in UNKNOWN else f"{file}:{0 if line is None else line} {name}"


def frame_word(frame: Mapping[str, Any], key: str) -> str:
    """Empty where the frame does not tell it."""
    told = frame.get(key)
    return "" if told is None else str(told)
