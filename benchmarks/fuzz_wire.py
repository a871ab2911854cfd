"""`python -m benchmarks.fuzz_wire [COUNT]`: damaged frames at the decoder of the agent socket, 10 million by default.

Fails at the first that neither gives a message nor is refused, and prints its bytes; tells the memory at the end.
"""

import random
import resource
import sys
import time

from blackbox.sources.agents.decode import decode
from blackbox.wire import Unpacker, WireError
from tests.mutations import mutated
from tests.unit.wire.test_message import COST, HELLO, OOM, WHOLE, pack_goodbye, pack_hello, pack_oom, pack_report

COUNT = 10_000_000
BATCH = 100_000


def main() -> int:
    """Runs them; 1 when one was neither taken nor refused."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else COUNT
    seeds = [pack_report(WHOLE, COST), pack_oom(OOM), pack_hello(HELLO), pack_goodbye()]
    began, refused = time.monotonic(), 0
    before = _peak_mebibytes()
    for batch in range(0, count, BATCH):
        for data in mutated(random.Random(batch), seeds, min(BATCH, count - batch)):
            try:
                for frame in Unpacker().feed(data):
                    decode(frame)
            except WireError:
                refused += 1
            except BaseException:
                print(f"neither taken nor refused: {data!r}", file=sys.stderr)
                raise
    seconds = time.monotonic() - began
    print(f"{count} frames in {seconds:.0f} s, {refused} refused, memory +{_peak_mebibytes() - before:.1f} MiB")
    return 0


def _peak_mebibytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    sys.exit(main())
