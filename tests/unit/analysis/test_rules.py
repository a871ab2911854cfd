"""Rules of the user's own: the first that matches holds, and no file of them can hang or grow."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blackbox.analysis.rules import (
    FILE_BYTES_MAX,
    NAME_CHARS_MAX,
    PATTERN_CHARS_MAX,
    RULES_MAX,
    CategoryRules,
    RulesError,
    parse_rules,
)


def test_the_first_rule_that_matches_holds() -> None:
    rules = parse_rules(b"# of ours\n\nKV cache = cache_engine.py\nheads=*heads.py:* forward\nrest = /app/\n")
    assert rules.category_of("/app/cache_engine.py:7 forward") == "KV cache"
    assert rules.category_of("/app/heads.py:12 forward") == "heads"
    assert rules.category_of("/app/heads.py:12 backward") == "rest"
    assert rules.category_of("/lib/other.py:1 f") is None
    assert rules.category_of("") is None


def test_a_pattern_is_no_regular_expression() -> None:
    rules = parse_rules(b"a = (x+x+)+y\nb = one=two")
    assert rules.category_of("x" * 200) is None
    assert rules.category_of("in (x+x+)+y") == "a"
    assert rules.category_of("one=two") == "b"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no rule"),
        (b"# only words\n", "no rule"),
        (b"a = b\nlonely", "line 2"),
        (b"= b", "line 1"),
        (b"a =", "line 1"),
        (b"a" * (NAME_CHARS_MAX + 1) + b" = b", "line 1"),
        (b"a\x07 = b", "line 1"),
        (b"a = " + b"b" * (PATTERN_CHARS_MAX + 1), "line 1"),
        (b"a = b\n" * (RULES_MAX + 1), str(RULES_MAX)),
        (b"\xff\xfe", "UTF-8"),
        (b"#" * (FILE_BYTES_MAX + 1), "64 KiB"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_in_one_line(data: bytes, reason: str) -> None:
    with pytest.raises(RulesError, match=reason) as error:
        parse_rules(data)
    assert "\n" not in str(error.value)


@given(st.binary(max_size=400))
def test_any_file_is_rules_or_an_error_of_one_line(data: bytes) -> None:
    reason, rules = "", CategoryRules()
    try:
        rules = parse_rules(data)
    except RulesError as error:
        reason = str(error)
    assert len(rules.names) == len(rules.patterns)
    assert bool(rules.names) != bool(reason)
    assert len(reason.splitlines()) <= 1


@given(st.text("*?[]ab", min_size=1, max_size=PATTERN_CHARS_MAX), st.text("ab", max_size=200))
def test_no_pattern_takes_for_ever(pattern: str, text: str) -> None:
    assert CategoryRules(("x",), (pattern,)).first(text) in (None, 0)
