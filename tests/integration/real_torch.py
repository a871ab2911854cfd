"""Run by an interpreter that has PyTorch: whether what the probe relies on is still there. Prints JSON."""

import inspect
import json
import subprocess
import sys
import threading

import torch

from blackbox.agent.probes import torch as probes
from blackbox.agent.probes.torch import kinds
from blackbox.agent.probes.torch.tensors import Tensors


class AgentContext:
    extras = frozenset()
    thread_starts = 0

    def ensure_thread(self):
        self.thread_starts += 1

    def add_cost(self, seconds):
        pass

    def yield_gil(self):
        pass

    def out_of_memory(self, oom):
        pass


def owned(tensors):
    """Address of each tensor -> its kind; None where it has no memory."""
    return {tensor.data_ptr(): kind for kind, tensor in tensors._owned() if tensor is not None}


def pointer(tensor):
    return tensor.data_ptr()


def train(model):
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(2, 8)).sum().backward()
    optimizer.step()
    return optimizer


def as_expected(found, model, optimizer):
    weights = {pointer(tensor): kinds.WEIGHT for tensor in (*model.parameters(), *model.buffers())}
    states = {pointer(t): kinds.OPTIMIZER for state in optimizer.state.values() for t in state.values()}
    return found == weights | states


class Watched(torch.nn.Parameter):
    """Knows who reads its gradient."""

    readers = set()  # noqa: RUF012 - there is one such program

    @property
    def grad(self):
        self.readers.add(threading.get_ident())
        return super().grad

    @grad.setter
    def grad(self, value):
        torch.Tensor.grad.__set__(self, value)


def gradients_are_left_to_the_program(watching):
    """A thread of ours that reads them takes the program down."""
    model = torch.nn.Linear(8, 8)
    model.weight = Watched(model.weight.data)
    train(model)
    read = lambda: (list(watching.places()), watching.gradients())  # noqa: E731
    agent = threading.Thread(target=read)
    agent.start()
    agent.join()
    return agent.ident not in Watched.readers and Watched.readers == {threading.get_ident()}


def stacks_bring_no_compiler():
    """Optimizers of this PyTorch import the compiler, so a fresh interpreter has to tell."""
    code = (
        "import sys, torch; from blackbox.agent.probes.torch.lazy_imports import compiler_hidden; "
        "profiler = torch._C._profiler; stack = profiler.gather_traceback(True, False, False)\n"
        "with compiler_hidden(torch): told = profiler.symbolize_tracebacks([stack])\n"
        "before = 'torch._inductor' in sys.modules; profiler.symbolize_tracebacks([stack])\n"
        "sys.exit(not (told[0] and not before and 'torch._inductor' in sys.modules))"
    )
    return subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def main():
    facts = {}
    early = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.BatchNorm1d(8))
    early_optimizer = train(early)

    searching = Tensors(torch, AgentContext())
    searching.search()
    facts["late attach finds models and optimizers"] = as_expected(owned(searching), early, early_optimizer)

    context = AgentContext()
    watching = Tensors(torch, context)
    watching.watch()
    model = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.BatchNorm1d(8))
    optimizer = train(model)
    facts["hooks find models and optimizers"] = as_expected(owned(watching), model, optimizer)
    facts["hooks wake the agent"] = context.thread_starts == 3
    model.to(torch.float64)
    facts["tensors that move are followed"] = {pointer(p) for p in model.parameters()} <= owned(watching).keys()
    facts["nothing lies on a GPU"] = list(watching.places()) == []
    del model, optimizer
    facts["gradients are left to the program"] = gradients_are_left_to_the_program(watching)
    facts["models die as before"] = not watching.has_modules

    facts["a build for CPUs gets no probe"] = torch.version.cuda is not None or not probes.make(torch, AgentContext())
    torch.version.cuda = torch.version.cuda or "none"
    context.extras = frozenset(("threads", "history"))
    probe = probes.make(torch, context)
    facts["a build for GPUs gets one, silent until CUDA is set up"] = probe is not None and probe.report(True) is None
    facts["allocations can be listened to"] = probe._owners.on
    facts["snapshots without traces"] = "include_traces" in inspect.signature(torch.cuda.memory_snapshot).parameters
    facts["deferred calls"] = callable(torch.cuda._lazy_call)
    facts["name of the backend"] = callable(torch.cuda.memory.get_allocator_backend)
    facts["overrides can be switched off"] = hasattr(torch._C, "DisableTorchFunctionSubclass")
    facts["stacks bring no compiler"] = stacks_bring_no_compiler()
    facts["CUDA is left alone"] = not torch.cuda.is_initialized()
    json.dump(facts, sys.stdout)


main()
