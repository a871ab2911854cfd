"""Real frameworks that run on the CPU, in a virtual environment beside the checkout, made once and used again."""

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

VARIABLE = "BLACKBOX_FRAMEWORKS_VENV"
"""Names the folder; it is made where it does not exist."""
INSTALL_SECONDS_MAX = 600
"""Of one framework: some hundred megabytes."""


class Framework(NamedTuple):
    requirement: str
    alone: bool = False
    """Without what it requires, which would be gigabytes."""


FRAMEWORKS = {
    "jax": Framework("jax==0.10.2"),
    "rmm": Framework("rmm-cu12==26.10.0"),
    "prometheus_client": Framework("prometheus_client==0.26.0"),
    "msgspec": Framework("msgspec==0.22.0"),
    "sglang": Framework("sglang==0.5.23", alone=True),
}


class NoFrameworkError(Exception):
    """It could not be installed; says why in one line."""


def folder() -> Path:
    """Where the environment lies."""
    named = os.environ.get(VARIABLE)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return Path(named) if named else cache / "blackbox-tests" / f"frameworks-{version}"


def packages() -> Path:
    """Where its packages lie."""
    (found,) = (folder() / "lib").glob("python*/site-packages")
    return found


def python(*names: str) -> Path:
    """Its interpreter, with these of `FRAMEWORKS`; installs those first that are not there yet. Raises
    `NoFrameworkError`.
    """
    interpreter = folder() / "bin" / "python"
    for name in names:
        requirement, alone = FRAMEWORKS[name]
        ready = folder() / f".ready-{requirement}"
        if ready.exists():
            continue
        try:
            if not interpreter.exists():
                _run(sys.executable, "-m", "venv", folder())
            only = ["--no-deps"] if alone else []
            options = ["--disable-pip-version-check", "--quiet", "--no-compile"]  # what is imported is compiled then
            _run(interpreter, "-m", "pip", "install", *options, *only, requirement)
        except subprocess.CalledProcessError as error:
            last = (error.stderr.strip() or "no message").splitlines()[-1]
            raise NoFrameworkError(f"{requirement} could not be installed: {last}") from None
        except subprocess.TimeoutExpired:
            raise NoFrameworkError(f"{requirement} was not installed within {INSTALL_SECONDS_MAX} s") from None
        ready.touch()
    return interpreter


def _run(*command: object) -> None:
    subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=True, timeout=INSTALL_SECONDS_MAX
    )


if __name__ == "__main__":
    for name in FRAMEWORKS:
        try:
            python(name)
        except NoFrameworkError as error:
            print(error, file=sys.stderr)
