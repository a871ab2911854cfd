"""The agent's probe for PyTorch, in a program that stands in for one on a GPU, and switches it on and off."""

import sys
from types import ModuleType

from blackbox.agent.probe import AgentContext
from blackbox.agent.probes.torch.probe import TorchProbe
from blackbox.wire.report import Report


class SwitchedProbe(TorchProbe):
    """Says nothing, and looks at nothing, while the program has it switched off."""

    is_on = True

    def report(self, full: bool) -> Report | None:
        return super().report(full) if SwitchedProbe.is_on else None


def make(_: ModuleType, context: AgentContext) -> SwitchedProbe:
    probe = SwitchedProbe(sys.modules["torch"], context)
    probe.watch(late=True)
    context.ensure_thread()
    return probe
