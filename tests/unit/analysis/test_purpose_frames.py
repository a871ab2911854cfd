"""What a stack says of the memory allocated there."""

import pytest

from blackbox.analysis.purpose_frames import (
    ACTIVATIONS,
    BACKWARD,
    CLEARING,
    COMMUNICATION,
    FORWARD,
    GRADIENTS,
    INPUT,
    KV_CACHE,
    MAIN,
    NO_SIGN,
    OPTIMIZER,
    OPTIMIZER_STATE,
    PARAMETERS,
    SETUP,
    WORKSPACES,
    StackSign,
    sign_of_frame,
    sign_of_stack,
)

Frame = tuple[str, str]
SITE = "/venv/lib/python3.12/site-packages"
USER: Frame = ("/app/train.py", "main")
CALL: Frame = (f"{SITE}/torch/nn/modules/module.py", "_call_impl")
LINEAR: Frame = (f"{SITE}/torch/nn/modules/linear.py", "forward")
STEP: Frame = (f"{SITE}/torch/optim/optimizer.py", "wrapper")
ADAM: Frame = (f"{SITE}/torch/optim/adam.py", "step")
ENGINE: Frame = ("??", "torch::autograd::Engine::evaluate_function(std::shared_ptr<torch::autograd::GraphTask>&)")
NODE: Frame = ("", "torch::autograd::Node::operator()(std::vector<at::Tensor>&&)")
MM: Frame = ("??", "at::_ops::mm::call(at::Tensor const&, at::Tensor const&)")


def sign(*frames: Frame) -> StackSign:
    return sign_of_stack([sign_of_frame(file, name) for file, name in frames])


@pytest.mark.parametrize(
    ("frames", "category", "part"),
    [
        ([MM, LINEAR, CALL, USER], ACTIVATIONS, FORWARD),
        ([MM, NODE, ENGINE], None, BACKWARD),
        ([("", "torch::autograd::AccumulateGrad::apply(...)"), NODE, ENGINE], GRADIENTS, BACKWARD),
        ([MM, LINEAR, CALL, NODE, ENGINE], ACTIVATIONS, BACKWARD),
        ([(f"{SITE}/torch/optim/adam.py", "_init_group"), ADAM, STEP, USER], OPTIMIZER_STATE, OPTIMIZER),
        ([MM, ADAM, STEP, USER], None, OPTIMIZER),
        ([MM, ("/app/optimizer.py", "step"), STEP, USER], None, OPTIMIZER),
        ([MM, LINEAR, CALL, ("/app/train.py", "closure"), ADAM, STEP, USER], ACTIVATIONS, FORWARD),
        ([(f"{SITE}/torch/optim/optimizer.py", "zero_grad"), USER], None, CLEARING),
        ([(f"{SITE}/torch/nn/modules/module.py", "_apply"), USER], PARAMETERS, SETUP),
        ([(f"{SITE}/torch/nn/modules/linear.py", "__init__"), ("/app/model.py", "__init__"), USER], PARAMETERS, SETUP),
        ([(f"{SITE}/transformers/modeling_utils.py", "_load_state_dict_into_model"), USER], PARAMETERS, SETUP),
        ([(f"{SITE}/transformers/cache_utils.py", "update"), LINEAR, CALL, USER], KV_CACHE, FORWARD),
        ([(f"{SITE}/vllm/v1/worker/gpu_model_runner.py", "_allocate_kv_cache_tensors")], KV_CACHE, MAIN),
        ([(f"{SITE}/sglang/srt/mem_cache/memory_pool.py", "_create_buffers")], KV_CACHE, MAIN),
        ([(f"{SITE}/torch/distributed/distributed_c10d.py", "all_gather_into_tensor"), CALL], COMMUNICATION, FORWARD),
        ([("??", "c10d::Reducer::initialize_buckets(...)"), USER], COMMUNICATION, MAIN),
        (
            [("??", "at::cuda::getNewWorkspace()"), LINEAR, CALL],
            WORKSPACES,
            FORWARD,
        ),
        ([(f"{SITE}/torch/utils/data/dataloader.py", "__next__"), USER], INPUT, MAIN),
        ([("python_variable_methods.cpp", "torch::autograd::THPVariable_cuda(_object*)"), USER], None, MAIN),
        ([(f"{SITE}/torch/optim/lr_scheduler.py", "step"), USER], None, MAIN),
        ([USER], None, MAIN),
        ([("??", "clone")], None, None),
        ([], None, None),
    ],
)
def test_the_innermost_frame_that_says_something_is_believed(
    frames: list[Frame], category: str | None, part: str | None
) -> None:
    found = sign(*frames)
    assert (found.category, found.part) == (category, part)


def test_backward_work_recorded_in_python_alone() -> None:
    function: Frame = (f"{SITE}/torch/autograd/function.py", "apply")
    custom: Frame = ("/app/ops.py", "backward")
    assert sign(custom, function).phase == BACKWARD
    assert sign(("/app/ops.py", "forward"), function, LINEAR, CALL, USER).phase == FORWARD
    recomputing: Frame = (f"{SITE}/torch/utils/checkpoint.py", "unpack_hook")
    found = sign(LINEAR, CALL, recomputing)
    assert (found.category, found.phase) == (ACTIVATIONS, BACKWARD)


def test_what_is_moved_by_the_program_itself_is_told_apart() -> None:
    moved: Frame = ("python_variable_methods.cpp", "torch::autograd::THPVariable_to(_object*, _object*)")
    assert sign(MM, moved, USER).moved
    assert not sign(MM, moved, LINEAR, CALL, USER).moved


def test_names_of_the_users_own_functions_come_last() -> None:
    assert sign(("/app/llm.py", "allocate"), ("/app/llm.py", "init_all_weights"), USER).own == PARAMETERS
    assert sign((f"{SITE}/other/llm.py", "init_weights"), USER).own is None
    assert sign(("/app/model.py", "forward_chunk")).own == ACTIVATIONS
    assert sign(USER).own is None


def test_no_stack_says_nothing() -> None:
    assert sign() == NO_SIGN
