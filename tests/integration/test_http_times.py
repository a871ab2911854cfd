"""Times at the ends of the calendar, in every parameter of every endpoint that takes one."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from urllib.parse import urlencode

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from blackbox.model.endpoint import Endpoint
from blackbox.model.endpoints import ENDPOINTS
from blackbox.model.parameter import DURATION, TIME
from blackbox.model.text import rfc3339
from tests.moments import TIMESTAMP, device, moment, sample
from tests.recordings import recorded
from tests.serving import Serving

EXAMPLES = 60
"""A request takes a millisecond; the ends themselves are always among them."""
ENDS = (
    "0", "99999999999", "253402300799", "0001-01-01", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00",
    "1969-12-31T23:59:59Z", "1970-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "9999-12-31T23:59:59.999999-14:00",
    "-999999999d", "-100000d", "999999999d", "now", "12:03", "yesterday 14:00 Europe/Berlin", "2026-03-29 02:30 CET",
)  # fmt: skip
TIMED = [
    (endpoint, parameter.name)
    for endpoint in ENDPOINTS
    for parameter in endpoint.parameters
    if parameter.values in (TIME, DURATION)
]
"""Each parameter that holds a time or a stretch of it, with its endpoint."""

times = st.one_of(
    st.sampled_from(ENDS),
    st.datetimes(
        timezones=st.sampled_from([UTC, *(timezone(timedelta(hours=hours)) for hours in (-14, -1, 5, 14))])
    ).map(datetime.isoformat),
    st.integers(0, 10**11 - 1).map(str),
    st.builds("-{}{}".format, st.integers(1, 10**9 - 1), st.sampled_from(["", "s", "m", "h", "d"])),
    st.builds("{}{}".format, st.integers(1, 10**9 - 1), st.sampled_from(["", "ms", "s", "m", "h", "d"])),
)


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with (
        recorded(tmp_path_factory.mktemp("data"), [moment(sample([device()]))]) as recorder,
        Serving(recording=recorder.recording) as made,
    ):
        made.publish()
        yield made


def query_of(endpoint: Endpoint, name: str, text: str) -> str:
    """A query with `text` as one parameter, and whatever else the endpoint needs."""
    needed = {parameter.name: "-1m" for parameter in endpoint.parameters if parameter.required}
    return f"{endpoint.path}?{urlencode(needed | {name: text})}"


def test_the_table_has_the_endpoints_with_times() -> None:
    assert {endpoint.operation for endpoint, _ in TIMED} >= {"history", "at", "events", "compare", "aggregated"}


@pytest.mark.fault(56)
@pytest.mark.parametrize("text", ENDS)
@pytest.mark.parametrize(("endpoint", "name"), TIMED, ids=lambda value: getattr(value, "operation", value))
def test_row_56_the_ends_of_the_calendar_are_answered(
    serving: Serving, endpoint: Endpoint, name: str, text: str
) -> None:
    reply = serving.ask(query_of(endpoint, name, text))
    assert reply.status in (200, 400, 404), reply
    assert serving.server.stats.errors_total == 0


@pytest.mark.fault(56)
@pytest.mark.parametrize(("endpoint", "name"), TIMED, ids=lambda value: getattr(value, "operation", value))
def test_row_56_what_is_outside_the_calendar_is_told_its_range(serving: Serving, endpoint: Endpoint, name: str) -> None:
    text = "999999999d" if name == "window" else "0001-01-01T00:00:00Z"
    reply = serving.ask(query_of(endpoint, name, text))
    assert reply.status == 400
    assert b"from 1970-01-01 to 9999-12-31" in reply.body
    assert b"\n" not in reply.body


@pytest.mark.parametrize(
    "text", ["-1m", "1m", "1 minute ago", "now", "yesterday 14:00", "2 pm UTC", "2026-11-22 03:12"]
)
def test_every_parameter_reads_times_as_people_write_them(serving: Serving, text: str) -> None:
    for endpoint, name in TIMED:
        if name != "window":
            assert serving.ask(query_of(endpoint, name, text)).status != 400 or (name, text) == ("from", "now"), text


def test_a_time_before_the_recording_is_told_where_it_begins_and_ends(serving: Serving) -> None:
    began = rfc3339(TIMESTAMP)
    for path in ("/vram/at?t=0", "/vram/compare?a=0"):
        reply = serving.ask(path)
        assert reply.status == 404
        assert f"the recording reaches from {began} to {began}" in reply.body.decode()


@pytest.mark.fault(56)
@settings(max_examples=EXAMPLES, deadline=None)
@given(of=st.sampled_from(TIMED), text=times)
@example(of=TIMED[0], text="9999-12-31T23:59:59.999999+00:00")
def test_row_56_no_time_in_any_query_is_an_error_of_the_server(
    serving: Serving, of: tuple[Endpoint, str], text: str
) -> None:
    reply = serving.ask(query_of(*of, text))
    assert reply.status in (200, 400, 404), (text, reply)
    assert serving.server.stats.errors_total == 0
