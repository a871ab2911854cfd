"""What the frames of a stack say of the memory allocated there: what it is for, or which part of a step ran.

The names are those of PyTorch 2.0 to 2.11 and of the libraries upon it, seen in genuine snapshots or read in their
sources. A frame is known by its file and the name of its function; a frame of C++ by the name alone.
"""

import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from functools import cache
from typing import NamedTuple

PARAMETERS, GRADIENTS, OPTIMIZER_STATE = "parameters", "gradients", "optimizer state"
ACTIVATIONS, AUTOGRAD_DETAIL, INPUT = "activations", "autograd detail", "input"
KV_CACHE, COMMUNICATION, WORKSPACES = "KV cache", "communication buffers", "workspaces"
GRAPH_POOLS = "graph pools"
CATEGORIES = (
    PARAMETERS,
    GRADIENTS,
    OPTIMIZER_STATE,
    ACTIVATIONS,
    AUTOGRAD_DETAIL,
    KV_CACHE,
    COMMUNICATION,
    WORKSPACES,
    GRAPH_POOLS,
    INPUT,
)

FORWARD, BACKWARD, OPTIMIZER, SETUP, CLEARING = "forward", "backward", "optimizer", "setup", "zero_grad"
"""Parts of a step; `setup`: parameters are made, moved or loaded."""
MAIN = "main"
"""Python ran, and none of the parts of a step."""

PYTHON = (".py", ">")
"""Ends of the names of files that frames of Python are in."""
LIBRARIES = ("site-packages/", "dist-packages/", "/torch/", "<frozen ", "/lib/python3")
"""Files that are not the user's own."""

_FILES: tuple[tuple[str, str, str], ...] = (
    (KV_CACHE, r"(vllm|sglang|lmdeploy|tensorrt_llm)/.*(cache_engine|memory_pool|mem_cache|kv_cache_manager)", ""),
    (KV_CACHE, r"vllm/.*worker", r"_?(initialize|allocate|reshape)_kv_cache\w*"),
    (KV_CACHE, r"tensorrt_llm/.*resource_manager\.py$", ""),
    (KV_CACHE, r"transformers/cache_utils\.py$", ""),
    (COMMUNICATION, r"torch/distributed/(distributed_c10d|_functional_collectives)\.py$", ""),
    (COMMUNICATION, r"torch/distributed/_composable/fsdp/_fsdp_collectives\.py$", ""),
    (COMMUNICATION, r"torch/distributed/fsdp/_fully_shard/_fsdp_collectives\.py$", ""),
    (COMMUNICATION, r"(deepspeed/comm|horovod)/", ""),
    (WORKSPACES, r"(flashinfer|vllm|sglang|flash_attn)/", r"\w*workspace\w*"),
    (OPTIMIZER_STATE, r"(^|torch/optim/)\w+\.py$", r"_init_group"),
    (OPTIMIZER_STATE, r"(apex|bitsandbytes|deepspeed)/.*optim", r"init_state|initialize_optimizer_states"),
    (INPUT, r"torch/utils/data/", ""),
    (INPUT, r"torch/nn/parallel/scatter_gather\.py$", ""),
    (INPUT, r"accelerate/data_loader\.py$", ""),
    (INPUT, r"transformers/(tokenization|feature_extraction|image_processing)\w*\.py$", ""),
    (INPUT, r"transformers/trainer\.py$", r"_prepare_inputs?"),
    (SETUP, r"(^|torch/nn/modules/)module\.py$", r"_apply|convert|to|cuda|half|to_empty|_?load_(from_)?state_dict"),
    (SETUP, r"torch/nn/modules/\w+\.py$", r"__init__|reset_parameters"),
    (SETUP, r"torch/nn/(parameter|init|parallel/replicate)\.py$", ""),
    (SETUP, r"transformers/(modeling_utils|core_model_loading)\.py$", r"from_pretrained|_?load_\w+|_?init\w*|to|cuda"),
    (SETUP, r"accelerate/(big_modeling|utils/modeling)\.py$", r"set_module_tensor_to_device|load_checkpoint\w*"),
    (SETUP, r"(vllm|sglang)/.*model_loader", ""),
    (SETUP, r"(vllm|sglang)/", r"create_weights|load_weights|load_model|process_weights_after_loading"),
    (SETUP, r"(safetensors/|diffusers/models/mod)", r"load_file|load_\w+|from_pretrained"),
    (FORWARD, r"(^|torch/nn/modules/)module\.py$", r"_call_impl|_wrapped_call_impl|__call__"),
    (FORWARD, r"(flash_attn|xformers/ops)/", ""),
    (CLEARING, r"torch/(optim/\w+|nn/modules/module)\.py$", r"zero_grad"),
    (OPTIMIZER, r"torch/optim/(?!lr_scheduler|swa_utils)\w+\.py$", r"(?!__init__|add_param_group)\w+"),
    (OPTIMIZER, r"(apex/optimizers|bitsandbytes/optim|deepspeed/ops/adam)/", r"step\w*|update_step"),
    (BACKWARD, r"torch/(autograd/__init__|_tensor)\.py$", r"backward|grad|_make_grads|_engine_run_backward"),
)
"""(what is said, pattern of the file, pattern of the whole name of the function). Some recorders cut the path away."""
_RECOMPUTED = (r"torch/utils/checkpoint\.py$", r"unpack_hook|_?recompute\w*|backward")
_FUNCTION = (r"torch/autograd/function\.py$", r"apply")
"""Where an autograd function of Python begins: of the backward pass, if nothing of Python called it."""
_NAMES: tuple[tuple[str, str], ...] = (
    (COMMUNICATION, r"\bc10d::"),
    (WORKSPACES, r"[Ww]orkspace|getCurrentCUDA(Blas|Sparse|Solver)\w*Handle|at::cuda::cub::|raw_cudnn_\w+"),
    (GRADIENTS, r"torch::autograd::AccumulateGrad"),
    (BACKWARD, r"torch::autograd::(python::Python)?Engine::|torch::autograd::Node::operator\(\)"),
)
"""(what is said, pattern in the name of a function of C++)."""
_MOVED = r"torch::autograd::(THPVariable_(cuda|to)|dispatch_to)\b"
OWN_NAMES: tuple[tuple[str, str], ...] = (
    (KV_CACHE, "*kv_cache*"),
    (COMMUNICATION, "*all_reduce*"),
    (COMMUNICATION, "*all_gather*"),
    (COMMUNICATION, "*reduce_scatter*"),
    (WORKSPACES, "*workspace*"),
    (PARAMETERS, "load_model*"),
    (PARAMETERS, "load_weights*"),
    (PARAMETERS, "*init_*weight*"),
    (PARAMETERS, "init_params*"),
    (INPUT, "get_batch*"),
    (INPUT, "next_batch*"),
    (INPUT, "load_batch*"),
    (INPUT, "prepare_batch*"),
    (INPUT, "*collate*"),
    (ACTIVATIONS, "forward*"),
    (AUTOGRAD_DETAIL, "backward*"),
)
"""(category, name of a function of the user's own), where nothing of a library tells: the first that fits."""

_PHASES = (FORWARD, BACKWARD, OPTIMIZER, SETUP, CLEARING)
_AT_ONCE = {FORWARD: ACTIVATIONS, SETUP: PARAMETERS}
"""What is allocated there, whatever becomes of it."""


class _Patterns(NamedTuple):
    """All of the above, compiled."""

    files: tuple[tuple[str, re.Pattern[str], re.Pattern[str]], ...]
    names: tuple[tuple[str, re.Pattern[str]], ...]
    recomputed: tuple[re.Pattern[str], ...]
    function: tuple[re.Pattern[str], ...]
    moved: re.Pattern[str]


@cache
def _patterns() -> _Patterns:
    """Compiled when first asked for, which takes longer than most of a command's start."""
    return _Patterns(
        tuple((said, re.compile(file), re.compile(name)) for said, file, name in _FILES),
        tuple((said, re.compile(name)) for said, name in _NAMES),
        tuple(map(re.compile, _RECOMPUTED)),
        tuple(map(re.compile, _FUNCTION)),
        re.compile(_MOVED),
    )


class FrameSign(NamedTuple):
    """What one frame says."""

    python: bool
    said: str | None = None
    """A category, or a part of a step."""
    moved: bool = False
    """`.to()` or `.cuda()` of a tensor."""
    recomputed: bool = False
    function: bool = False
    own: str | None = None
    """The category that the name of the user's own function suggests."""


class StackSign(NamedTuple):
    """What a stack says."""

    category: str | None = None
    """None: the frames alone do not tell."""
    phase: str | None = None
    """The part of a step that ran; None: another, or it is not known."""
    moved: bool = False
    """A tensor was moved to the GPU, outside of everything that PyTorch calls."""
    own: str | None = None
    """The category that the names of the user's own functions suggest."""
    has_python: bool = False
    """Frames of Python are among them."""
    has_native: bool = False
    """Frames of C++ are among them."""

    @property
    def part(self) -> str | None:
        """The part of a step, or `MAIN`; None: not known."""
        return self.phase or (MAIN if self.has_python else None)


NO_SIGN = StackSign()


def sign_of_frame(file: str, name: str) -> FrameSign:
    """What a frame says, whatever stands around it."""
    known = _patterns()
    if not file.endswith(PYTHON):
        said = next((said for said, pattern in known.names if pattern.search(name)), None)
        return FrameSign(False, said, moved=known.moved.search(name) is not None)
    for said, of_file, of_name in known.files:
        if of_file.search(file) and (not of_name.pattern or of_name.fullmatch(name)):
            return FrameSign(True, said)
    own = None
    if not any(place in file for place in LIBRARIES):
        own = next((category for category, glob in OWN_NAMES if fnmatchcase(name, glob)), None)
    recomputed, function = _is(known.recomputed, file, name), _is(known.function, file, name)
    return FrameSign(True, None, recomputed=recomputed, function=function, own=own)


def sign_of_stack(frames: Sequence[FrameSign]) -> StackSign:
    """What the frames of a stack say together, innermost first: the innermost that says something is believed."""
    said = [frame.said for frame in frames if frame.said is not None]
    python = [frame for frame in frames if frame.python]
    phase = next((word for word in said if word in _PHASES), None)
    first = said[0] if said else None
    if (phase is None and python and python[-1].function) or (
        phase == FORWARD and (BACKWARD in said or any(frame.recomputed for frame in frames))
    ):
        phase = BACKWARD
    return StackSign(
        category=first if first in CATEGORIES else _AT_ONCE.get(first or ""),
        phase=phase,
        moved=first is None and any(frame.moved for frame in frames),
        own=next((frame.own for frame in frames if frame.own is not None), None),
        has_python=bool(python),
        has_native=len(python) < len(frames),
    )


def _is(patterns: Iterable[re.Pattern[str]], file: str, name: str) -> bool:
    of_file, of_name = patterns
    return of_file.search(file) is not None and of_name.fullmatch(name) is not None
