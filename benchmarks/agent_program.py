"""`python -m benchmarks.agent_program BLOCKS PROCESSES`: programs with so many blocks each, that wait to be killed."""

import os
import signal
import sys
import threading

from benchmarks import agent_heap

agent_heap.fill(int(sys.argv[1]))
for _ in range(int(sys.argv[2]) - 1):
    if not os.fork():
        break
agent_heap.begin()
signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
threading.Event().wait()
