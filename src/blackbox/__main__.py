"""`python -m blackbox`."""

import sys

from blackbox.cli import main

if __name__ == "__main__":
    sys.exit(main())
