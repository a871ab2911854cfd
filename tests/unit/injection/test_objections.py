"""Each reason to leave a program alone has its own sentence and exit code."""

import pytest

from blackbox.injection.objections import Objection, not_permitted, objections, objections_to_detach, refuse
from blackbox.injection.program import Ids, Program, is_interpreter, own_machine

FINE = Program(
    pid=7,
    start_ticks=1,
    name="train.py",
    ids=Ids(1000, 1000, ()),
    age_seconds=60.0,
    state="R",
    tracer_pid=0,
    executable="/usr/bin/python3.14",
    replaced=False,
    machine=own_machine(),
    version=(3, 14),
    is_free_threaded=False,
    frameworks=("PyTorch",),
    c_library="glibc",
    environment={},
    arguments=("python3.14", "train.py"),
    namespaces=(),
    forbidden="",
)

CASES = {
    Objection.ENDED: {"state": "Z"},
    Objection.NOT_PYTHON: {"version": None},
    Objection.OLD_PYTHON: {"version": (3, 13)},
    Objection.YOUNG: {"age_seconds": 4.9},
    Objection.NO_FRAMEWORK: {"frameworks": ()},
    Objection.STOPPED: {"state": "T"},
    Objection.TRACED: {"tracer_pid": 99},
    Objection.REPLACED: {"replaced": True},
    Objection.FORBIDDEN: {"environment": {"BLACKBOX_AGENT": "Off"}},
    Objection.OTHER_MACHINE: {"machine": b"\0\0"},
    Objection.C_LIBRARY: {"c_library": "musl"},
    Objection.KERNEL: {"forbidden": "Permission denied (kernel.yama.ptrace_scope is 1)"},
    Objection.ELSEWHERE: {"namespaces": ("mnt",)},
    Objection.FREE_THREADED: {"is_free_threaded": True},
    Objection.WITHIN: {"executable": "/opt/train/train"},
}


def test_an_ordinary_program_is_not_refused() -> None:
    assert objections(FINE) == ()
    assert objections(FINE._replace(version=(3, 15))) == ()


@pytest.mark.parametrize(("objection", "changed"), CASES.items(), ids=lambda value: getattr(value, "name", ""))
def test_each_has_its_reason(objection: Objection, changed: dict[str, object]) -> None:
    (refused,) = objections(FINE._replace(**changed))
    assert refused.objection is objection
    assert "7" in refused.sentence
    assert "{" not in refused.sentence


@pytest.mark.parametrize(
    "changed",
    [
        {"environment": {"PYTHON_DISABLE_REMOTE_DEBUG": "1"}},
        {"environment": {"PYTHON_DISABLE_REMOTE_DEBUG": ""}},
        {"arguments": ("python3.14", "-X", "disable-remote-debug", "a.py")},
        {"arguments": ("python3.14", "-Xdisable-remote-debug", "a.py")},
        {"arguments": ("python3.14", "-Xdisable-remote-debug=0", "a.py")},
        {"arguments": ("python3.14", "-uIX", "disable-remote-debug", "a.py")},
        {"arguments": ("python3.14", "--check-hash-based-pycs=always", "-W", "error", "-X", "disable-remote-debug")},
        {"arguments": ("python3.14", "-X", "disable_remote_debug", "a.py")},
    ],
)
def test_remote_debugging_that_is_off(changed: dict[str, object]) -> None:
    (refused,) = objections(FINE._replace(**changed))
    assert refused.objection is Objection.DEBUGGING_OFF


@pytest.mark.parametrize(
    "changed",
    [
        {"arguments": ("python3.14", "a.py", "-X", "disable-remote-debug")},
        {"arguments": ("python3.14", "-m", "a", "-Xdisable-remote-debug")},
        {"arguments": ("python3.14", "-cpass", "-Xdisable-remote-debug")},
        {"arguments": ("python3.14", "-", "-Xdisable-remote-debug")},
        {"arguments": ("python3.14", "-X", "dev", "-Wdisable-remote-debug", "a.py")},
        {"arguments": ("python3.14", "-I", "a.py"), "environment": {"PYTHON_DISABLE_REMOTE_DEBUG": "1"}},
        {"arguments": ()},
    ],
)
def test_remote_debugging_that_is_on(changed: dict[str, object]) -> None:
    assert objections(FINE._replace(**changed)) == ()


@pytest.mark.parametrize(
    ("executable", "is_one"),
    [
        ("/usr/bin/python3.14", True),
        ("/opt/conda/bin/python", True),
        ("/nix/store/x-python3-3.14.1/bin/.python3.14-wrapped", True),
        ("/usr/bin/uwsgi", False),
        ("/opt/python3.14/train", False),
        ("/opt/python-train/pythonic", False),
        ("/usr/lib64/ld-linux-x86-64.so.2", False),
    ],
)
def test_what_is_no_interpreter_is_not_started_a_second_time(executable: str, is_one: bool) -> None:
    assert is_interpreter(FINE._replace(executable=executable)) is is_one


def test_of_a_program_that_has_ended_nothing_else_is_told() -> None:
    (refused,) = objections(FINE._replace(state="Z", version=None, frameworks=(), replaced=True))
    assert refused.objection is Objection.ENDED


def test_who_is_let_in_is_told_to_whom_it_helps() -> None:
    assert not_permitted(7, as_root=False).sentence.endswith("process 7: attach as its user, or as root")
    assert not_permitted(7, as_root=True).sentence == "the kernel does not let even root look into process 7 from here"


def test_all_reasons_are_told_the_weightiest_first() -> None:
    found = objections(FINE._replace(version=(3, 9), frameworks=(), age_seconds=0.0))
    assert [refused.objection for refused in found] == [Objection.YOUNG, Objection.NO_FRAMEWORK, Objection.OLD_PYTHON]
    assert "Python 3.9" in found[2].sentence


def test_an_agent_can_be_taken_out_where_it_could_not_be_brought_in() -> None:
    program = FINE._replace(frameworks=(), age_seconds=1.0, environment={"BLACKBOX_AGENT": "0"})
    assert objections_to_detach(program) == ()
    assert [one.objection for one in objections_to_detach(program._replace(state="T"))] == [Objection.STOPPED]


def test_codes_and_sentences_are_all_different() -> None:
    assert len({objection.exit_code for objection in Objection}) == len(Objection)
    assert len({objection.value[1] for objection in Objection}) == len(Objection)
    assert all(9 < objection.exit_code < 126 for objection in Objection), "neither our own nor the shell's"


def test_figures_come_into_the_sentence() -> None:
    assert refuse(Objection.NOT_RUN, FINE, wait=1.5, doing="it sleeps").sentence == (
        "process 7 (train.py) ran no Python within 1.5 s: it sleeps, and lets nobody in until that returns; the "
        "request was taken back, --wait waits longer"
    )


@pytest.mark.fault(65)
def test_row_65_a_sentence_is_one_line_whatever_the_program_is_called() -> None:
    refused = refuse(Objection.REPLACED, FINE._replace(executable="/tmp/\x1b[2J\nall is well"))
    assert refused.sentence.endswith("/tmp/?[2J?all is well")


def test_the_detour_has_rules_of_its_own() -> None:
    def against(**changed: object) -> list[Objection]:
        return [one.objection for one in objections(FINE._replace(**changed), experimental=True)]

    assert against(version=(3, 9)) == []
    assert against(version=(3, 8)) == [Objection.OLD_PYTHON]
    assert against(version=(3, 14)) == []
    assert against(machine=b"\xb7\0") == [Objection.OTHER_MACHINE]
    assert against(namespaces=("mnt",)) == [Objection.ELSEWHERE]
    assert against(executable="/opt/train/train") == [], "no interpreter is started"
    assert against(is_free_threaded=True) == [Objection.FREE_THREADED]
    assert objections(FINE._replace(namespaces=("mnt",)), experimental=True, as_root=True) == ()
    assert "--experimental" in objections(FINE._replace(version=(3, 13)))[0].sentence
