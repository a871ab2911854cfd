#!/bin/sh
# An old `pynvml` beside `nvidia-ml-py` wins, whatever the order of installation, and nothing says so.
#
# Expected: with NVIDIA's own bindings installed and pinned, `import pynvml` imports them. What happens: both bring a
# module of that name, NVIDIA's as a file `pynvml.py`, version 11 of the other as a folder `pynvml/`, and Python takes the
# folder. No file of one overwrites one of the other, so `pip check` is content and both are "installed". The program gets
# bindings of years ago, in which newer functions are missing. Version 13 of `pynvml` has no such folder.
#
# So: a program that depends on nvidia-ml-py checks at the start that what it imported has what it needs, and says which
# file it got instead.

. "$(dirname "$0")/evidence.sh"

install nvidia-ml-py==13.615.71 pynvml==11.5.3
evidence <<'PYTHON'
from importlib.metadata import version
from pathlib import Path

from evidence import Evidence


import pynvml

found = Path(pynvml.__file__)

evidence = Evidence()
evidence.see("nvidia-ml-py is installed", version("nvidia-ml-py"), "13.615.71")
evidence.see("its module is there", (found.parents[1] / "pynvml.py").is_file(), True)
evidence.see("what is imported", "/".join(found.parts[-2:]), "pynvml/__init__.py")
evidence.see("it knows memory version 2", hasattr(pynvml, "nvmlMemory_v2"), True)
evidence.see("it knows the newer temperature call", hasattr(pynvml, "nvmlDeviceGetTemperatureV"), False)
evidence.see("it knows the detailed process list", hasattr(pynvml, "nvmlDeviceGetRunningProcessDetailList"), False)
evidence.close()
PYTHON
