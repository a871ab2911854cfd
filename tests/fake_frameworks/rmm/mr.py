from types import SimpleNamespace


class CudaMemoryResource:
    pass


class ManagedMemoryResource:
    pass


class SamHeadroomMemoryResource:
    pass


class UpstreamResourceAdaptor:
    def __init__(self, upstream_mr):
        self.upstream_mr = upstream_mr


class PoolMemoryResource(UpstreamResourceAdaptor):
    def __init__(self, upstream_mr, size):
        super().__init__(upstream_mr)
        self._size = size

    def pool_size(self):
        return self._size


class ArenaMemoryResource(UpstreamResourceAdaptor):
    pass


class BinningMemoryResource(UpstreamResourceAdaptor):
    bin_mrs = ()


class StatisticsResourceAdaptor(UpstreamResourceAdaptor):
    def __init__(self, upstream_mr, current_bytes):
        super().__init__(upstream_mr)
        self.allocation_counts = SimpleNamespace(current_bytes=current_bytes)


class TrackingResourceAdaptor(UpstreamResourceAdaptor):
    def __init__(self, upstream_mr, current_bytes):
        super().__init__(upstream_mr)
        self._bytes = current_bytes

    def get_allocated_bytes(self):
        return self._bytes


_per_device = {}


def get_log_filenames():
    return dict.fromkeys(_per_device)


def get_per_device_resource(device):
    return _per_device.setdefault(device, CudaMemoryResource())


def set_per_device_resource(device, resource):
    _per_device[device] = resource
