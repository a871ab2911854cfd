"""The bytes that go into programs are those of the commented source."""

import shutil
import subprocess
from pathlib import Path

import pytest

from blackbox.injection.detour import code
from tests.waiting import PATIENCE_SECONDS

SOURCE = Path(code.__file__).with_name("detour.s")


def test_the_source_assembles_to_these_bytes(tmp_path: Path) -> None:
    if shutil.which("as") is None or shutil.which("objcopy") is None:
        pytest.skip("no assembler here")
    made, raw = tmp_path / "detour.o", tmp_path / "detour.bin"
    subprocess.run(["as", "--64", "-o", made, SOURCE], check=True, timeout=PATIENCE_SECONDS)
    subprocess.run(["objcopy", "-O", "binary", "-j", ".text", made, raw], check=True, timeout=PATIENCE_SECONDS)
    assert raw.read_bytes() == code.CODE
    names = subprocess.run(["nm", made], capture_output=True, text=True, check=True, timeout=PATIENCE_SECONDS).stdout
    places = {name: int(place, 16) for place, _, name in map(str.split, names.splitlines())}
    assert places == {"detour": 0, "thread": code.THREAD}


def test_all_that_is_pushed_is_popped() -> None:
    words = [line.split("#")[0].split() for line in SOURCE.read_text().splitlines()]
    first = words[: next(at for at, word in enumerate(words) if word == ["thread:"])]
    pushed = [word[1] for word in first if word[:1] == ["push"]]
    popped = [word[1] for word in first if word[:1] == ["pop"]]
    assert popped == pushed[::-1]
    assert len(set(pushed)) == 15, "all but rsp"
