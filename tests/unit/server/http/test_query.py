"""The query of a request, read by the declared parameters of its endpoint."""

import pytest

from blackbox.model.endpoint import Endpoint, StatusAnswer
from blackbox.model.parameter import DURATION, TEXT, TIME, Parameter, one_of, some_of, whole
from blackbox.server.http.query import query_of
from blackbox.server.http.request import HTTPError

NAME = Parameter(name="name", help="", values=TEXT, required=True)
SIZE = Parameter(name="size", help="", values=whole(1, 10), default="3")
LENGTH = Parameter(name="length", help="", values=DURATION, default="5m")
COLOUR = Parameter(name="colour", help="", values=one_of(("red", "blue")))
COLOURS = Parameter(name="colours", help="", values=some_of(("red", "blue")))
TIME_OF = Parameter(name="t", help="", values=TIME)
TAG = Parameter(name="If-None-Match", help="", values=TEXT, location="header")
STRICT = Endpoint(
    path="/x",
    operation="x",
    summary="",
    parameters=(NAME, SIZE, LENGTH, COLOUR, COLOURS, TIME_OF, TAG),
    answer=StatusAnswer(help=""),
    statuses={},
)
OPEN = Endpoint(
    path="/y",
    operation="y",
    summary="",
    parameters=(NAME,),
    answer=StatusAnswer(help=""),
    statuses={},
    accepts_any_parameter=True,
)


def test_what_is_absent_has_its_default_or_is_none() -> None:
    query = query_of(STRICT, ())
    assert (query.value(SIZE), query.value(LENGTH)) == (3, 300.0)
    assert (query.get(SIZE), query.get(COLOUR), query.time_or(TIME_OF, 50.0, None)) == (None, None, None)
    with pytest.raises(HTTPError, match="name is missing"):
        query.value(NAME)
    with pytest.raises(HTTPError, match="t is missing"):
        query.time(TIME_OF, 50.0)


def test_what_is_given_is_read() -> None:
    given = (("name", "a"), ("size", "10"), ("colour", "red"), ("colours", "blue,red"), ("t", "-10s"))
    query = query_of(STRICT, given)
    assert (query.value(NAME), query.get(SIZE), query.get(COLOUR)) == ("a", 10, "red")
    assert query.get(COLOURS) == {"red", "blue"}
    assert query.time(TIME_OF, 50.0) == query.time_or(TIME_OF, 50.0, None) == 40.0


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ((("other", "1"),), "unknown parameter 'other': there are name, size, length, colour, colours, t$"),
        ((("If-None-Match", "1"),), "unknown parameter 'If-None-Match'"),
        ((("size", "1"), ("size", "1")), "parameter 'size' is given twice"),
        ((("size", ""),), "size is empty"),
    ],
)
def test_a_query_that_does_not_fit_is_refused(given: tuple[tuple[str, str], ...], reason: str) -> None:
    with pytest.raises(HTTPError, match=reason) as refused:
        query_of(STRICT, given)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("parameter", "text", "reason"),
    [
        (SIZE, "11", "size: '11' is no whole number from 1 to 10"),
        (SIZE, "0", "size: '0'"),
        (SIZE, "-1", "size: '-1'"),
        (SIZE, "\u0663", "size: "),
        (COLOUR, "green", "colour: 'green' is none of red, blue"),
        (COLOURS, "red,green", "colours: 'green' is none of red, blue"),
        (COLOURS, "red,", "colours: '' is none of"),
        (LENGTH, "long", "length: 'long' is no duration"),
    ],
)
def test_a_value_that_does_not_fit_is_refused(parameter: Parameter[object], text: str, reason: str) -> None:
    query = query_of(STRICT, ((parameter.name, text),))
    with pytest.raises(HTTPError, match=reason) as refused:
        query.value(parameter)
    assert refused.value.status == 400


def test_an_endpoint_may_ignore_what_it_does_not_know() -> None:
    query = query_of(OPEN, (("collect", "a"), ("collect", "b"), ("name", "c"), ("empty", "")))
    assert query.value(NAME) == "c"


def test_the_same_query_is_read_once() -> None:
    assert query_of(STRICT, (("name", "a"),)) is query_of(STRICT, (("name", "a"),))
    assert query_of(STRICT, (("name", "a"),)) is not query_of(OPEN, (("name", "a"),))
