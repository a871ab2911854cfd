#!/bin/sh
# GPUtil never offers a GPU that shares the machine's memory, not even where unknown figures are asked for.
#
# Expected: a GPU whose memory nvidia-smi tells as `[N/A]` (GB10, Thor) is left out, or counts as free;
# `includeNan=True` is there to have such GPUs included. What happens: its memory is NaN in every field, no comparison
# with NaN holds, and `includeNan` minds two of the three that are made: the third, of the free bytes, leaves it out
# again. An idle GB10 is never available. And `maxMemory` is no size: it is a share of the GPU's memory. With GPUtil
# 1.4.0, on an nvidia-smi that is a script.
#
# So: a figure that is not known needs a mark of its own; as NaN it looks like one that is known, and decides.

. "$(dirname "$0")/evidence.sh"

install GPUtil==1.4.0 setuptools==80.9.0
mkdir "$folder/bin"
cat > "$folder/bin/nvidia-smi" <<'SMI'
#!/bin/sh
echo "0, GPU-1, 12, 81559, 32624, 48935, 580.95, NVIDIA A100, [N/A], Disabled, Disabled, 40"
echo "1, GPU-2, 0, [N/A], [N/A], [N/A], 580.95, NVIDIA GB10, [N/A], Disabled, Disabled, 40"
SMI
chmod +x "$folder/bin/nvidia-smi"
PATH=$folder/bin:$PATH
export PATH
evidence <<'PYTHON'
from evidence import Evidence


import GPUtil

card, shared = GPUtil.getGPUs()
evidence = Evidence()
evidence.see("load and memory of the idle GB10", f"{shared.load} {shared.memoryTotal} {shared.memoryFree}", "0.0 nan nan")
evidence.see("offered", GPUtil.getAvailable(limit=9), [0])
evidence.see("offered, whatever is taken", GPUtil.getAvailable(limit=9, maxLoad=1.0, maxMemory=1.0), [0])
evidence.see("offered, with what is not known", GPUtil.getAvailable(limit=9, includeNan=True), [0])
evidence.see("with at most 0.3 taken, of 81,559 MiB with 32,624 taken", GPUtil.getAvailable(maxMemory=0.3), [])
evidence.close()
PYTHON
