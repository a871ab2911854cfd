"""Print a script that completes this command line.

bash:  eval "$(blackbox completion bash)"
zsh:   blackbox completion zsh > "${fpath[1]}/_blackbox"
fish:  blackbox completion fish > ~/.config/fish/completions/blackbox.fish
tcsh:  blackbox completion tcsh > ~/.blackbox.tcsh, and source it
"""

from argparse import ArgumentParser, Namespace


def configure(parser: ArgumentParser) -> None:
    """Which shell."""
    parser.add_argument("shell", choices=("bash", "zsh", "fish", "tcsh"))


def run(arguments: Namespace) -> int:
    """Prints the script."""
    import shtab

    from blackbox.cli import COMMANDS, build_parser

    print(shtab.complete(build_parser([command.name for command in COMMANDS]), arguments.shell))
    return 0
