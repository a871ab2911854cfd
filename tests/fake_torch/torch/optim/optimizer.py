from torch import _machine
from torch._tensor import Tensor

_post_hooks = []

if _machine.VERSION >= (2, 0):

    def register_optimizer_step_post_hook(hook):
        _post_hooks.append(hook)


class Optimizer:
    def __init__(self, parameters):
        self.parameters = list(parameters)
        self.param_groups = [{"params": self.parameters}]
        self.state = {}

    def step(self):
        self.update()
        for hook in _post_hooks:
            hook(self, (), {})


class Adam(Optimizer):
    def update(self):
        for parameter in self.parameters:
            if parameter not in self.state:
                device = parameter._storage.device
                self.state[parameter] = {
                    "step": Tensor(1),
                    "exp_avg": Tensor(parameter.count, device),
                    "exp_avg_sq": Tensor(parameter.count, device),
                }
