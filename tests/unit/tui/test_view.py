"""What the reader looks at."""

from blackbox.tui.view import SPAN_SECONDS_MAX, SPAN_SECONDS_MIN, View


def test_a_time_that_is_not_past_is_now() -> None:
    view = View()
    view.look_at(90.0, 100.0, event=7)
    assert (view.time, view.event) == (90.0, 7)
    view.look_at(100.0, 100.0, event=7)
    assert (view.time, view.event) == (None, None)


def test_the_strip_has_a_shortest_and_a_longest() -> None:
    view = View()
    for _ in range(40):
        view.zoom(2.0)
    assert view.span_seconds == SPAN_SECONDS_MAX
    for _ in range(40):
        view.zoom(0.5)
    assert view.span_seconds == SPAN_SECONDS_MIN
