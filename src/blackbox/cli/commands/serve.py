"""Watch this machine's GPUs and answer over HTTP.

Every flag is also a variable (--token-file is BLACKBOX_TOKEN_FILE) and a key of the settings file (token_file).
A flag beats a variable, a variable beats the file.
"""

from argparse import ArgumentParser, Namespace

from blackbox.cli.common.settings_options import add_flags
from blackbox.errors import UsageError


def configure(parser: ArgumentParser) -> None:
    """The server's settings."""
    parser.add_argument("listen_port", nargs="?", metavar="PORT", help="the same as --port PORT")
    add_flags(parser)


def run(arguments: Namespace) -> int:
    """Serves until told to stop."""
    from blackbox.imports import import_event_loop, import_msgspec

    import_msgspec()
    from blackbox.cli.common.settings_file import settings_with_origins

    if arguments.listen_port is not None:
        if arguments.port is not None:
            raise UsageError("the port is given twice")
        arguments.port = arguments.listen_port
    settings, origins = settings_with_origins(arguments)

    if settings.tls_cert is None and settings.web_config is None:
        import_event_loop()
    from blackbox.daemon import serve

    return serve(settings, origins)
