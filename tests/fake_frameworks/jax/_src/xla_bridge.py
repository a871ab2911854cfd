class Device:
    def __init__(self, ordinal, stats):
        self.local_hardware_id = ordinal
        self._stats = stats

    def memory_stats(self):
        return self._stats


class Client:
    def __init__(self, *devices):
        self._devices = devices

    def local_devices(self):
        return list(self._devices)


_backends = {}
