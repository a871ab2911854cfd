"""The script that the program runs: it starts a thread, binds nothing, and never raises."""

from pathlib import Path

from blackbox.injection import handover, inside, remote
from tests.waiting import until_value


def test_the_letter_binds_no_name_and_answers_in_its_first_line(tmp_path: Path) -> None:
    path = tmp_path / "letter"
    text = handover.letter("detach", "/s").replace(b"@LETTER@", str(path).encode())
    path.write_bytes(text)
    namespace: dict[str, object] = {}
    exec(compile(text, "letter", "exec"), namespace)
    assert set(namespace) == {"__builtins__"}
    answer = until_value(lambda: path.read_bytes()[remote.STATUS].strip(), lambda seen: seen != b"")
    assert answer in (b"absent", b"detached")
    assert path.read_bytes()[remote.STATUS.stop :] == text[remote.STATUS.stop :]


def test_the_place_of_the_answer_is_the_same_for_those_who_write_and_read_it() -> None:
    assert slice(1, 1 + inside.STATUS_BYTES) == remote.STATUS
    assert handover.letter("attach", "/s")[remote.STATUS] == remote.UNANSWERED * inside.STATUS_BYTES


def test_a_socket_with_quotes_is_still_one_string() -> None:
    compile(handover.letter("attach", '/it\'s "here"\n/agent.sock'), "letter", "exec")
