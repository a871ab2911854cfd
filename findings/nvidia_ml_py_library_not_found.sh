#!/bin/sh
# nvidia-ml-py calls a driver library that it found, and could not load, "not found".
#
# Expected: where `libnvidia-ml.so.1` is there and the loader refuses it (a file of another architecture, cut short by a
# full disk, or built against a newer libc), the error says so. What happens: in 13.615.71, any `OSError` of the loader
# becomes NVML_ERROR_LIBRARY_NOT_FOUND, "NVML Shared Library Not Found". The loader's words stand in its `__context__`
# alone, which a program that prints the error does not show. People then install a driver that is installed.
#
# So: load the library by yourself (`ctypes.CDLL`) before the bindings do, and tell what the loader says.

. "$(dirname "$0")/evidence.sh"

install nvidia-ml-py==13.615.71
evidence <<'PYTHON'
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from evidence import Evidence

CODE = """
import ctypes, pynvml
try:
    ctypes.CDLL("libnvidia-ml.so.1")
except OSError as error:
    print(str(error).rpartition(": ")[2])
try:
    pynvml.nvmlInit()
except pynvml.NVMLError as error:
    print(error)
    print("short" in str(error))
    print(type(error.__context__).__name__)
"""

evidence = Evidence()
with tempfile.TemporaryDirectory() as folder:
    Path(folder, "libnvidia-ml.so.1").touch()
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        env={**os.environ, "LD_LIBRARY_PATH": folder},
        capture_output=True,
        text=True,
        check=True,
    )
loader, bindings, told, context = done.stdout.splitlines()
evidence.see("the loader says", loader, "file too short")
evidence.see("the bindings say", bindings, "NVML Shared Library Not Found")
evidence.see("their words hold the loader's", told, "False")
evidence.see("what led to it is kept", context, "OSError")
evidence.close()
PYTHON
