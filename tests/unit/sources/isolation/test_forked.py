"""A fork that works for a command. Each runs in a process of its own: one with other threads is none to fork."""

import subprocess
import sys

import pytest

from tests.waiting import PATIENCE_SECONDS

PROGRAM = """
import os, signal, sys, threading, time
from blackbox.errors import FailureError
from blackbox.sources.isolation import forked
from blackbox.sources.isolation.forked import can_fork, run_forked

LEFT_OPEN = open(os.devnull)
MEMORY, CPU, SECONDS = 256 << 20, 30, 60.0
sys.stdout.write("once ")  # in the buffer of both

def refuse():
    raise FailureError("nothing of that kind")

def swell():
    return bytes(1 << 30)

def files():
    assert os.readlink("/proc/self/fd/0") == os.readlink("/proc/self/fd/2") == os.devnull
    return " ".join(sorted(os.readlink(f"/proc/self/fd/{one}").split(":")[0] for one in os.listdir("/proc/self/fd")
                           if os.path.exists(f"/proc/self/fd/{one}") and int(one) > 2)).encode()

def interrupt():
    raise KeyboardInterrupt

def turn():
    while True:
        pass

def parent_of(pid):
    try:
        return int(open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[1])
    except OSError:
        return 0

assert can_fork()
WHAT
"""


def _said(what: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.replace("WHAT", what)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("work", "code", "handed_back"),
    [
        ("lambda: bytes(3_000_000)", 0, bytes(3_000_000)),
        ("refuse", 1, b"nothing of that kind"),
        ("swell", 1, b"it would take too much memory"),
        ("files", 0, b"pipe"),
        ("interrupt", 130, b""),
        ("lambda: os.kill(os.getpid(), signal.SIGSEGV)", -11, b""),
    ],
)
def test_what_it_makes_or_how_it_ends_is_handed_back_and_nothing_else_happens(
    work: str, code: int, handed_back: bytes
) -> None:
    told = _said(f"print(run_forked({work}, MEMORY, CPU, SECONDS, 0.05, lambda pid: None))")
    assert told == f"once ForkResult(exit_code={code}, handed_back={handed_back!r})\n"


def test_one_that_takes_too_much_of_the_processor_is_ended_by_the_kernel() -> None:
    assert "exit_code=-9" in _said("print(run_forked(turn, MEMORY, 1, SECONDS, 0.05, lambda pid: None))")


@pytest.mark.parametrize("error", ["TimeoutError", "KeyboardInterrupt"])
def test_it_is_gone_when_the_command_gives_it_up(error: str) -> None:
    seconds, tick = ("0.1", "seen.append") if error == "TimeoutError" else ("SECONDS", "stop")
    told = _said(f"""
seen = []
def stop(pid):
    seen.append(pid)
    raise KeyboardInterrupt
try:
    run_forked(lambda: time.sleep(1000), MEMORY, CPU, {seconds}, 0.05, {tick})
except {error}:
    print(len(seen) > 0, os.path.exists(f"/proc/{{seen[0]}}"))
""")
    assert told == "once True False\n"


def test_one_that_hands_back_more_than_it_may_hold_is_ended() -> None:
    told = _said("""
def pour():  # as one whose limits do not hold it
    import glob
    out = next(int(one.rsplit("/", 1)[1]) for one in glob.glob("/proc/self/fd/*") if os.path.exists(one)
               and int(one.rsplit("/", 1)[1]) > 2 and os.readlink(one).startswith("pipe"))
    while True:
        os.write(out, bytes(1 << 20))
try:
    run_forked(pour, 64 << 20, CPU, SECONDS, 0.05, lambda pid: None)
except forked.TooMuchMadeError:
    print("ended", [one for one in os.listdir("/proc") if one.isdigit() and parent_of(one) == os.getpid()])
""")
    assert told == "once ended []\n"


def test_a_process_with_another_thread_is_not_forked() -> None:
    told = _said("""
wait = threading.Event()
thread = threading.Thread(target=wait.wait)
thread.start()
print(can_fork())
wait.set()
thread.join()
""")
    assert told == "once False\n"
