import threading

_thread = threading.local()


def current():
    return getattr(_thread, "device", 0)


class Device:
    def __init__(self, ordinal):
        self.id = ordinal

    def __enter__(self):
        self._before = current()
        _thread.device = self.id
        return self

    def __exit__(self, *error):
        _thread.device = self._before
