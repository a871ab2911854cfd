"""What is told of a program is what the kernel shows of it."""

import os
from pathlib import Path

import pytest

from blackbox.injection import program as programs
from blackbox.injection.program import Program

PID = 4321
STAT = "4321 (py) thon) S 1 " + " ".join(["0"] * 17) + " 5000 0"
STATUS = "Name:\tpython3.14\nUid:\t1000\t1001\t1000\t1000\nGid:\t100\t101\t100\t100\nGroups:\t4 24 \nTracerPid:\t0\n"
MAPS = "7f00-7f01 r-xp 0000 08:01 12 /usr/lib/libc.so.6\n7f02-7f03 r--p 0 0 0\n7f04-7f05 r-xp 0 0 3 {}\n"
TICKS = os.sysconf("SC_CLK_TCK")


def look(folder: Path, **files: str) -> Program:
    """A process whose files say so; what is not given is an ordinary Python 3.14 with PyTorch."""
    interpreter = folder / "usr" / "bin" / "python3.14"
    interpreter.parent.mkdir(parents=True, exist_ok=True)
    interpreter.write_bytes(b"\x7fELF" + bytes(14) + b"\x3e\x00")
    for name in (str(PID), "self"):
        process = folder / "proc" / name
        (process / "ns").mkdir(parents=True, exist_ok=True)
        for kind in ("mnt", "pid", "user"):
            place = folder / f"ns-{kind}"
            place.touch()
            (process / "ns" / kind).symlink_to(place)
        (process / "root").symlink_to(folder)
    process = folder / "proc" / str(PID)
    (process / "exe").symlink_to(files.pop("exe", str(interpreter)))
    contents = {
        "stat": STAT,
        "status": STATUS,
        "cmdline": "python\0train.py\0--lr\0",
        "environ": "HOME=/h\0BLACKBOX_AGENT=1\0",
        "maps": MAPS.format("/venv/torch/lib/libtorch_cpu.so"),
    }
    for name, text in (contents | files).items():
        (process / name).write_text(text)
    return programs.look(PID, folder / "proc", clock=lambda: 5000 / TICKS + 12.5)


def test_an_ordinary_program(tmp_path: Path) -> None:
    seen = look(tmp_path)
    assert (seen.pid, seen.name, seen.state, seen.tracer_pid) == (PID, "train.py", "S", 0)
    assert seen.ids == (1001, 101, (4, 24))
    assert seen.age_seconds == pytest.approx(12.5)
    assert (seen.version, seen.frameworks, seen.c_library) == ((3, 14), ("PyTorch",), "glibc")
    assert (seen.machine, seen.replaced, seen.namespaces) == (b"\x3e\x00", False, ())
    assert seen.environment["HOME"] == "/h"


@pytest.mark.parametrize(
    ("executable", "library", "version"),
    [
        ("python3.13", "/x/nothing.so", (3, 13)),
        ("python3", "/usr/lib/libpython3.12.so.1.0", (3, 12)),
        ("python", "/v/torch/_C.cpython-314-x86_64-linux-gnu.so", (3, 14)),
        ("python", "/v/torch/_C.cpython-39-x86_64-linux-gnu.so", (3, 9)),
        ("nginx", "/x/nothing.so", None),
    ],
)
def test_the_version_is_that_of_its_files(
    tmp_path: Path, executable: str, library: str, version: tuple[int, int] | None
) -> None:
    (tmp_path / executable).touch()
    assert look(tmp_path, exe=str(tmp_path / executable), maps=MAPS.format(library)).version == version


@pytest.mark.parametrize(
    ("library", "names"),
    [
        ("/v/torch/lib/libtorch_cuda.so", ("PyTorch",)),
        ("/v/jaxlib/libjax_common.so", ("JAX",)),
        ("/v/cupy/_core/core.cpython-314-x86_64-linux-gnu.so", ("CuPy",)),
        ("/v/librmm/lib64/librmm.so", ("RMM",)),
        ("/v/numpy/core.so", ()),
    ],
)
def test_frameworks_show_by_their_libraries(tmp_path: Path, library: str, names: tuple[str, ...]) -> None:
    assert look(tmp_path, maps=MAPS.format(library)).frameworks == names


@pytest.mark.parametrize(
    ("executable", "library", "is_one"),
    [
        ("python3.14t", "/x/nothing.so", True),
        ("python", "/x/libpython3.13t.so.1.0", True),
        ("train", "/v/torch/_C.cpython-314t-x86_64-linux-gnu.so", True),
        ("python3.14", "/x/libtorch.so", False),
    ],
)
def test_a_free_threaded_python_shows_by_its_files(tmp_path: Path, executable: str, library: str, is_one: bool) -> None:
    (tmp_path / executable).touch()
    seen = look(tmp_path, exe=str(tmp_path / executable), maps=MAPS.format(library))
    assert seen.is_free_threaded is is_one
    assert seen.version is not None


def test_probes_of_ones_own_count_as_a_framework(tmp_path: Path) -> None:
    seen = look(tmp_path, environ="BLACKBOX_AGENT_PROBES=mine=probe\0", maps=MAPS.format("/x.so"))
    assert seen.frameworks == (programs.OWN_PROBES,)


def test_an_interpreter_that_was_replaced(tmp_path: Path) -> None:
    seen = look(tmp_path, exe="/gone/python3.14 (deleted)")
    assert seen.replaced
    assert seen.executable == "/gone/python3.14"
    assert seen.version == (3, 14)


def test_another_namespace(tmp_path: Path) -> None:
    look(tmp_path)
    other = tmp_path / "other"
    other.touch()
    place = tmp_path / "proc" / str(PID) / "ns" / "mnt"
    place.unlink()
    place.symlink_to(other)
    assert programs.look(PID, tmp_path / "proc").namespaces == ("mnt",)


@pytest.mark.parametrize(
    ("maps", "name"),
    [("7f00-7f01 r-xp 0 0 1 /lib/ld-musl-x86_64.so.1\n", "musl"), ("7f00-7f01 r-xp 0 0 1 /bin/python3.14\n", "")],
)
def test_c_libraries(tmp_path: Path, maps: str, name: str) -> None:
    assert look(tmp_path, maps=maps).c_library == name


def test_a_module_names_the_program_and_so_does_the_kernel(tmp_path: Path) -> None:
    assert look(tmp_path, cmdline="python\0-m\0vllm.entrypoints.api\0").name == "vllm.entrypoints.api"


@pytest.mark.fault(65)
def test_row_65_a_script_may_have_any_name(tmp_path: Path) -> None:
    assert look(tmp_path, cmdline="python\0\x1b[2J\nevil.py\0").name == "?[2J?evil.py"


def test_one_that_has_ended_is_still_shown(tmp_path: Path) -> None:
    look(tmp_path, stat=STAT.replace(") S", ") Z"), maps="", environ="", cmdline="")
    (tmp_path / "proc" / str(PID) / "exe").unlink()
    for kind in ("mnt", "pid", "user"):
        (tmp_path / "proc" / str(PID) / "ns" / kind).unlink()
    seen = programs.look(PID, tmp_path / "proc")
    assert (seen.state, seen.version, seen.executable) == ("Z", None, "")


def test_a_kernel_that_lets_look_but_not_write(tmp_path: Path) -> None:
    scope = tmp_path / "proc" / "sys" / "kernel" / "yama" / "ptrace_scope"
    scope.parent.mkdir(parents=True)
    scope.write_text("1\n")
    assert look(tmp_path, mem="").forbidden == ""
    memory = tmp_path / "proc" / str(PID) / "mem"
    memory.unlink()
    memory.mkdir()  # root may read every file
    assert programs.look(PID, tmp_path / "proc").forbidden == "Is a directory (kernel.yama.ptrace_scope is 1)"


def test_there_is_no_such_process(tmp_path: Path) -> None:
    with pytest.raises(ProcessLookupError):
        programs.look(PID, tmp_path)


def test_this_very_process_is_seen_as_it_is() -> None:
    seen = programs.look(os.getpid())
    assert seen.ids.uid == os.geteuid()
    assert seen.namespaces == ()
    assert not seen.replaced
    assert seen.machine == programs.own_machine()
