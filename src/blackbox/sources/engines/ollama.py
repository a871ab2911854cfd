"""Ollama: which models are loaded. It tells nothing of their caches."""

import re

import msgspec
from msgspec import Struct

from blackbox.model.decoding import DECODE_ERRORS
from blackbox.model.parts import InferenceEngine
from blackbox.sources.engines.adapter import Adapter, Scrape, ScrapedEngine, explained, printable
from blackbox.sources.engines.versions import CheckedVersions, told_at


class LoadedModel(Struct):
    name: str
    size: int
    """By this key it is told from others' lists of models. An estimate, so it is not passed on."""
    size_vram: int | None = 0
    """The part on GPUs. Versions up to 0.1.41 leave it out where it is 0."""


class Loaded(Struct):
    models: list[msgspec.Raw]


def read(scrape: Scrape) -> tuple[ScrapedEngine, ...] | None:
    """One engine per loaded model."""
    loaded = scrape.json("/api/ps", Loaded)
    if loaded is None:
        return None
    models = [model for row in loaded.models if (model := _decoded(row)) is not None]
    if loaded.models and not models:
        return None
    missing = len(loaded.models) - len(models)
    left_out = f"{missing} of {len(loaded.models)} models left out: their rows at /api/ps could not be read"
    return tuple(ScrapedEngine(_engine(model), model.name, left_out if missing else None) for model in models)


def _decoded(row: msgspec.Raw) -> LoadedModel | None:
    """None where it is no row that we know: that is no reason to leave out the others."""
    try:
        return msgspec.json.decode(row, type=LoadedModel)
    except DECODE_ERRORS:
        return None


def _engine(model: LoadedModel) -> InferenceEngine:
    engine = InferenceEngine(kind="ollama", pid=None, model=printable(model.name))
    where = ""
    if model.size_vram is not None and model.size_vram < model.size:
        where = "; part of this one is on the CPU" if model.size_vram > 0 else "; this one is on the CPU alone"
    return explained(engine, {}, f"Ollama tells which models are loaded, and nothing of their caches{where}")


ADAPTER = Adapter(
    kind="ollama",
    programs=re.compile(r"\bollama\b"),
    read=read,
    checked=CheckedVersions("0.1.33", "0.33", "November 2026"),
    version=told_at("/api/version"),
)
