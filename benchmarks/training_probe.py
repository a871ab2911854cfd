"""The agent's probe for PyTorch, in a program that only stands in for one on a GPU."""

import sys
from types import ModuleType

from blackbox.agent.probe import Desk
from blackbox.agent.probes.torch.probe import TorchProbe


def make(_: ModuleType, desk: Desk) -> TorchProbe:
    probe = TorchProbe(sys.modules["torch"], desk)
    probe.watch(late=True)
    desk.awake()
    return probe
