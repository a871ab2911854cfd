"""Keys: each means one thing, and is told on the page of help."""

from collections import Counter

from blackbox.terminal.layout import plain
from blackbox.tui.actions import STEPS
from blackbox.tui.answers import Answers
from blackbox.tui.feed import ServerState
from blackbox.tui.help_page import lines
from blackbox.tui.scene import Scene
from blackbox.tui.view import View


def test_a_key_means_one_thing() -> None:
    assert [key for key, count in Counter(key for step in STEPS for key in step.keys).items() if count > 1] == []


def test_help_tells_every_key() -> None:
    scene = Scene(80, 24, 0, [ServerState("x")], View(), Answers(), 0.0)
    told = "\n".join(plain(line) for line in lines(scene).lines)
    assert all(step.help in told for step in STEPS if not step.shown.isdigit())
