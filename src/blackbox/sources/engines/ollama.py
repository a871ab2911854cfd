"""Ollama: which models are loaded. It tells nothing of their caches."""

import re

from msgspec import Struct

from blackbox.model.parts import InferenceEngine
from blackbox.sources.engines.adapter import Adapter, Scrape, ScrapedEngine, explained, printable


class LoadedModel(Struct):
    name: str
    size_vram: int
    """By this key it is told from others' lists of models. Part of an estimate, so it is not passed on."""


class Loaded(Struct):
    models: list[LoadedModel]


def read(scrape: Scrape) -> tuple[ScrapedEngine, ...] | None:
    """One engine per loaded model."""
    loaded = scrape.json("/api/ps", Loaded)
    if loaded is None:
        return None
    return tuple(ScrapedEngine(_engine(model.name), model.name) for model in loaded.models)


def _engine(model: str) -> InferenceEngine:
    engine = InferenceEngine(kind="ollama", pid=None, model=printable(model))
    return explained(engine, {}, "Ollama tells which models are loaded, and nothing of their caches")


ADAPTER = Adapter(kind="ollama", programs=re.compile(r"\bollama\b"), read=read)
