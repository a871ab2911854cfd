"""What a recording may tell outside this machine: no arguments of programs, and nothing that looks like a secret."""

import re

from msgspec import structs

from blackbox.model.event import Event
from blackbox.model.moment import Moment
from blackbox.model.parts import DeviceProcess, InferenceEngine
from blackbox.model.sample import Sample
from blackbox.model.status import SourceStatus

HIDDEN = "***"
_ARGUMENTS = re.compile(r"\s+-.*", re.DOTALL)
_USER_INFO = re.compile(r"(?<=://)[^/@\s]+(?=@)")
_NAMED = re.compile(
    r"(?i)\b((?:[\w-]*(?:token|secret|password|passwd|api[_-]?key|credential)[\w-]*|authorization)['\"]?\s*[=:]\s*)"
    r"(?:bearer\s+|basic\s+)?['\"]?[^\s'\",;]+"
)
_BEARER = re.compile(r"(?i)\b(bearer\s+)\S+")
_WELL_KNOWN = re.compile(r"\b(?:sk-|hf_|ghp_|glpat-|xox[abp]-|AKIA)[\w-]{8,}")


def redact(moment: Moment) -> Moment:
    """The moment without arguments and secrets."""
    return structs.replace(
        moment,
        samples=tuple(_sample(sample) for sample in moment.samples),
        sources=tuple(_status(status) for status in moment.sources),
    )


def redact_event(event: Event) -> Event:
    """The event likewise."""
    message = redact_text(event.message)
    return event if message == event.message else structs.replace(event, message=message)


def redact_text(text: str) -> str:
    """The text without what looks like a secret."""
    text = _USER_INFO.sub(HIDDEN, text)
    text = _NAMED.sub(rf"\1{HIDDEN}", text)
    return _WELL_KNOWN.sub(HIDDEN, _BEARER.sub(rf"\1{HIDDEN}", text))


def _sample(sample: Sample) -> Sample:
    return structs.replace(
        sample,
        reason=_optional(sample.reason),
        processes=tuple(_process(row) for row in sample.processes),
        engines=tuple(_engine(engine) for engine in sample.engines),
        events=tuple(redact_event(event) for event in sample.events),
        facts=_facts(sample.facts),
        of_users=tuple(
            structs.replace(told, reasons=tuple(map(redact_text, told.reasons)), facts=_facts(told.facts))
            for told in sample.of_users
        ),
    )


def _facts(facts: dict[str, str]) -> dict[str, str]:
    return {key: redact_text(value) for key, value in facts.items()}


def _process(row: DeviceProcess) -> DeviceProcess:
    """Some programs write their arguments into their name."""
    name = None if row.name is None else redact_text(_ARGUMENTS.sub("", row.name))
    return row if name == row.name else structs.replace(row, name=name)


def _engine(engine: InferenceEngine) -> InferenceEngine:
    model = _optional(engine.model)
    return engine if model == engine.model else structs.replace(engine, model=model)


def _status(status: SourceStatus) -> SourceStatus:
    return structs.replace(
        status,
        reason=_optional(status.reason),
        facts=_facts(status.facts),
    )


def _optional(text: str | None) -> str | None:
    return None if text is None else redact_text(text)
