"""What a stack says is worked out of its kinds of frames, and is what all of its frames say."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from blackbox.analysis.purpose_frames import sign_of_frame, sign_of_stack
from blackbox.analysis.rules import NO_RULES
from blackbox.sources.memory_snapshot.stack_texts import ALL_FRAMES_MAX, FRAMES_MAX, StackTexts
from blackbox.wire.frames import frame_text, program_frames

TORCH = "/site-packages/torch"
FRAMES = [
    {"filename": file, "line": 7, "name": name}
    for file, name in (
        ("/app/train.py", "main"),
        ("/app/train.py", "kv_cache_of"),
        ("/app/train.py", "forward"),
        (f"{TORCH}/nn/modules/module.py", "_call_impl"),
        (f"{TORCH}/optim/adam.py", "step"),
        (f"{TORCH}/autograd/__init__.py", "backward"),
        (f"{TORCH}/autograd/function.py", "apply"),
        (f"{TORCH}/utils/checkpoint.py", "recompute_fn"),
        ("??", "torch::autograd::Engine::thread_main(int)"),
        ("??", "torch::autograd::THPVariable_cuda(_object*)"),
        ("??", "torch::unwind::unwind()"),
        ("??", "c10d::ProcessGroupNCCL::allreduce(int)"),
        ("", ""),
    )
]
stacks = st.lists(st.lists(st.sampled_from(FRAMES), min_size=1, max_size=12), min_size=1, max_size=12)


@given(stacks, st.sampled_from([1, 60]))
def test_a_stack_says_what_all_of_its_frames_say(found: list[list[dict[str, Any]]], times: int) -> None:
    """Also where frames recur, and where a stack is longer than what is read of it."""
    texts = StackTexts(NO_RULES)
    found = [frames * times for frames in found]
    signs = texts.evidence(()).signs
    for frames in found:
        number = texts.stack(frames)
        said = [sign_of_frame(frame["filename"], frame["name"]) for frame in frames[:ALL_FRAMES_MAX]]
        assert signs[number] == sign_of_stack(said)
        assert texts.part(frames) == signs[number].part
        assert texts.lines[number] == tuple(map(frame_text, program_frames(frames)[:FRAMES_MAX]))
