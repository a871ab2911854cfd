"""The terminal that a command prints on, where there is one."""

import os
import shutil
import sys
from argparse import Namespace
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from blackbox.cli.common.paragraphs import WIDTH_MAX, WIDTH_MIN

if TYPE_CHECKING:
    from blackbox.terminal.colour_depth import Depth
    from blackbox.terminal.layout import TextLine

HEIGHT_MIN = 24
"""Of the smallest terminal that is common; a smaller one scrolls."""
HOME_AND_CLEAR = "\033[H\033[J"


class Screen(NamedTuple):
    """How much fits, and in how many colours."""

    width: int
    height: int
    """Lines, without that of the prompt."""
    depth: "Depth"

    def below_demo(self, simulated: bool) -> "Screen":
        """What is left of it once a line has said that no figure is real; all of it where they are."""
        if not simulated:
            return self
        from blackbox.terminal.demo import DEMO
        from blackbox.terminal.layout import Fragment
        from blackbox.terminal.looks import palette

        self.show([(Fragment(f" {DEMO} ", palette(self.depth).bar),)])
        return self._replace(height=self.height - 1)

    def show(self, lines: "Iterable[TextLine]", *, anew: bool = False) -> None:
        """Prints lines; `anew`: in place of what is there."""
        from blackbox.terminal.layout import ansi, clipped

        text = "".join(f"{ansi(clipped(line, self.width), self.depth)}\n" for line in lines)
        sys.stdout.write(HOME_AND_CLEAR + text if anew else text)
        sys.stdout.flush()


def screen_of(arguments: Namespace, environ: Mapping[str, str] = os.environ) -> Screen | None:
    """The terminal; None in a pipe, and where JSON is asked for (`--json`, `--compact`)."""
    if not sys.stdout.isatty() or getattr(arguments, "json", False) or getattr(arguments, "compact", False):
        return None
    from blackbox.terminal.colour_depth import depth_of

    size = shutil.get_terminal_size()
    return Screen(min(WIDTH_MAX, max(WIDTH_MIN, size.columns)), max(HEIGHT_MIN, size.lines) - 1, depth_of(environ))
