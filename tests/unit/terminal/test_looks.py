"""Looks: colour for live bytes alone, none where none is wanted."""

from blackbox.terminal.looks import look_of, palette, tone_look
from blackbox.terminal.purposes import LOOKS


def test_live_memory_has_colours_of_its_own_and_other_memory_has_none() -> None:
    live = [look.key for look in LOOKS if look.colour is not None]
    for depth in (256, 16):
        grounds = [look_of(key, depth).ground for key in live]
        assert len(set(grounds) - {None}) == len(live) == 8
    assert all(look_of(look.key, 256).ground is None for look in LOOKS if look.key not in live)


def test_without_colours_nothing_is_told_by_colour() -> None:
    looks = [*palette(0), *(look_of(look.key, 0) for look in LOOKS)]
    assert all(look.ink is None and look.ground is None for look in looks)


def test_an_alarm_looks_like_nothing_else() -> None:
    assert tone_look("alarm", 256) not in (tone_look("warn", 256), tone_look("plain", 256))
