"""`python -m tests.agent_listener SOCKET MODE`: an agent source in a process of its own.

Answers every line on standard input with a sample, as a line of JSON.
"""

import logging
import sys
from pathlib import Path

import msgspec

from blackbox.sources.agents.source import AgentSource


def main() -> None:
    logging.basicConfig(stream=sys.stderr)
    source = AgentSource(Path(sys.argv[1]), int(sys.argv[2], 8))
    for _ in sys.stdin:
        sys.stdout.write(msgspec.json.encode(source.sample(), enc_hook=tuple).decode() + "\n")
        sys.stdout.flush()
    source.close()


if __name__ == "__main__":
    main()
