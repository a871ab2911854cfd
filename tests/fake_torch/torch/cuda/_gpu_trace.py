from torch import _machine


def register_callback_for_memory_allocation(callback):
    _machine.allocated.append(callback)


def register_callback_for_memory_deallocation(callback):
    _machine.freed.append(callback)
