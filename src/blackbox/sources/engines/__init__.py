"""What inference engines tell from outside: KV pages and requests, over HTTP, from processes left as they are."""

from collections.abc import Callable, Collection

from blackbox.settings import Settings
from blackbox.sources.engines.address import parse_url
from blackbox.sources.engines.source import EngineSource


def make(settings: Settings, gpu_pids: Callable[[], Collection[int]]) -> EngineSource:
    """The source for the engines of `gpu_pids`, and those that the settings name."""
    return EngineSource(gpu_pids, [parse_url(text) for text in settings.engines])
