_parameter_hooks = []
_buffer_hooks = []


def register_module_parameter_registration_hook(hook):
    _parameter_hooks.append(hook)


def register_module_buffer_registration_hook(hook):
    _buffer_hooks.append(hook)


class Module:
    def __init__(self):
        self._parameters = {}
        self._buffers = {}

    def register_parameter(self, name, parameter):
        for hook in _parameter_hooks:
            parameter = hook(self, name, parameter) or parameter
        self._parameters[name] = parameter

    def register_buffer(self, name, tensor):
        for hook in _buffer_hooks:
            tensor = hook(self, name, tensor) or tensor
        self._buffers[name] = tensor

    def parameters(self):
        return list(self._parameters.values())
