"""`blackbox`, and `python -m blackbox`."""

import os
import sys

from blackbox import launch

EXIT_INTERRUPTED = 130


def main() -> int:
    """Runs the command line; returns its exit code. A program that `blackbox run` becomes does not wait until all of
    it is imported."""
    try:
        run = launch.plain_run(sys.argv[1:])
        if run is not None and not launch.is_watched(is_quiet=run.is_quiet):
            os.environ.update(launch.changes(os.environ, run.socket, run.extras))  # a copy of all takes 0.1 ms
            return launch.become(run.program)
    except ValueError:
        pass  # the whole command line says what is wrong with these words
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    from blackbox.cli import main as command_line

    return launch.end(command_line())


if __name__ == "__main__":
    sys.exit(main())
