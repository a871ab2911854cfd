#!/bin/sh
# To the npm package systeminformation an idle GPU has no utilization, and memory that nobody told is the size of a
# window.
#
# Expected: `graphics()` tells `utilizationGpu: 0` and `memoryUsed: 0` of an idle GPU, and nothing, or null, for what
# the driver does not tell. What happens: a figure that is 0 is left out, as one that is "[N/A]" is, so idle and unknown
# cannot be told apart, and a chart of an idle GPU has a gap. Where the driver tells no total (GPUs that share the
# system's memory), or is not there, `vram` is the largest address window of the card in `lspci`: 256 MB for one of 24
# GB, 128 GB for one of 80. And where there is no `lspci`, as in most containers, there is no GPU, whatever `nvidia-smi`
# says. With systeminformation 5.33.26 on Linux.
#
# Stand-ins for `nvidia-smi` and `lspci` are put first in the path. It needs `node` and `npm`.
#
# So: a missing figure is unknown unless `memoryTotal` is there; `vram` without `memoryTotal` is no memory.

. "$(dirname "$0")/evidence.sh"

npm install --silent --no-audit --no-fund --prefix "$folder" systeminformation@5.33.26
echo "node $(node --version), systeminformation 5.33.26"
NODE_PATH=$folder/node_modules
export NODE_PATH folder
evidence <<'PYTHON'
import json
import os
import subprocess
from pathlib import Path

from evidence import Evidence

folder = Path(os.environ["folder"])
ASK = "require('systeminformation').graphics().then((all) => console.log(JSON.stringify(all.controllers)))"
LSPCI = """\
0000:41:00.0 3D controller: NVIDIA Corporation GA102GL [A10] (rev a1)
\tSubsystem: NVIDIA Corporation Device 1482
\tRegion 0: Memory at b2000000 (32-bit, non-prefetchable) [size=16M]
\tRegion 1: Memory at 20000000000 (64-bit, prefetchable) [size={window}]
"""
FIGURES = "610.1, 0x148210DE, NVIDIA A10, 00000000:41:00.0, {figures}, 35, [N/A], 17.0, 150.0, 210, 405"
BUSY, IDLE = "0, 23028, 9001, 14027, 97, 41", "0, 23028, 0, 23028, 0, 0"
UNTOLD = "[N/A], [N/A], [N/A], [N/A], 97, [N/A]"
NAMES = ("memoryTotal", "memoryUsed", "utilizationGpu", "vram")


def stand_in(name: str, text: str | None) -> None:
    (folder / name).write_text("#!/bin/sh\nexit 1\n" if text is None else f"#!/bin/sh\ncat <<'TEXT'\n{text}\nTEXT\n")
    (folder / name).chmod(0o755)


def told(figures: str | None, window: str | None = "256M") -> list[list[object]]:
    """`NAMES` of each GPU; None is what is missing."""
    stand_in("nvidia-smi", figures and FIGURES.format(figures=figures))
    stand_in("lspci", window and LSPCI.format(window=window))
    environment = os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"}
    answer = subprocess.run(["node", "-e", ASK], env=environment, capture_output=True, check=True).stdout
    return [[one.get(name) for name in NAMES] for one in json.loads(answer)]


evidence = Evidence()
evidence.see(f"busy: {', '.join(NAMES)}", told(BUSY), [[23028, 9001, 97, 23028]])
evidence.see("idle", told(IDLE), [[23028, None, None, 23028]])
evidence.see("memory that the driver does not tell", told(UNTOLD), [[None, None, 97, 256]])
evidence.see("no driver, and a large window", told(None, "128G"), [[None, None, None, 131072]])
evidence.see("no lspci", told(BUSY, None), [])
evidence.close()
PYTHON
