from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blackbox.client.sse import EventStreamParser, EventTooLargeError, ServerSentEvent

WORDS = st.text(st.characters(blacklist_characters="\r\n\0", blacklist_categories=("Cs",)), max_size=12)


def parse(*chunks: bytes) -> list[ServerSentEvent]:
    parser = EventStreamParser()
    return [event for chunk in chunks for event in parser.feed(chunk)]


def test_an_event_ends_with_an_empty_line() -> None:
    assert parse(b"data: one\n") == []
    assert parse(b"data: one\n\n") == [ServerSentEvent(b"one", "message", "")]


def test_fields() -> None:
    text = b"event: bye\nid: 7\ndata: one\ndata:two\ndata\nunknown: x\n\n"
    assert parse(text) == [ServerSentEvent(b"one\ntwo\n", "bye", "7")]


def test_an_id_stays_and_an_event_name_does_not() -> None:
    events = parse(b"id: 7\nevent: bye\ndata: a\n\ndata: b\n\nid\ndata: c\n\n")
    assert [(event.id, event.event) for event in events] == [("7", "bye"), ("7", "message"), ("", "message")]


def test_an_id_with_a_null_is_ignored() -> None:
    assert parse(b"id: 7\nid: 8\0\ndata: a\n\n")[0].id == "7"


def test_comments_and_events_without_data_are_left_out() -> None:
    assert parse(b": heartbeat\n\nevent: x\n\ndata: a\n\n") == [ServerSentEvent(b"a", "message", "")]


def test_only_one_space_after_the_colon_is_dropped() -> None:
    assert parse(b"data:  a\n\n")[0].data == b" a"


def test_a_byte_order_mark_is_dropped_at_the_start_only() -> None:
    assert [event.data for event in parse(b"\xef\xbb\xbfdata: a\n\n\xef\xbb\xbfdata: b\n\ndata: c\n\n")] == [b"a", b"c"]


def test_retry_is_in_milliseconds_and_nonsense_is_ignored() -> None:
    parser = EventStreamParser()
    parser.feed(b"retry: 1500\nretry: soon\nretry: -1\n\n")
    assert parser.retry_seconds == 1.5


def test_an_event_may_not_grow_without_end() -> None:
    for text in (b"data: " + b"x" * 200, b"data: x\n" * 40):
        with pytest.raises(EventTooLargeError):
            EventStreamParser(event_bytes_max=64).feed(text)


@given(
    st.lists(
        st.tuples(WORDS.filter(lambda word: word.isprintable()), st.lists(WORDS, min_size=1, max_size=3)), max_size=4
    ),
    st.sampled_from([b"\n", b"\r\n", b"\r"]),
    st.data(),
)
def test_events_are_the_same_however_the_stream_is_cut(
    sent: list[tuple[str, list[str]]], line_end: bytes, data: st.DataObject
) -> None:
    lines = [
        line
        for name, texts in sent
        for line in (f"event: {name}".encode(), *(f"data: {text}".encode() for text in texts), b": note", b"")
    ]
    stream = b"".join(line + line_end for line in lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    chunks = [stream[start:end] for start, end in pairwise([0, *cuts, len(stream)])]
    expected = [("\n".join(texts).encode(), name or "message") for name, texts in sent]
    assert [(event.data, event.event) for event in parse(*chunks)] == expected
