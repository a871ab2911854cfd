"""Every error a person may meet. The command line turns them into one line and an exit code, in one place.

BlackboxError
├── UsageError      what was asked for makes no sense      exit 2
└── FailureError    the machine, a file or a server failed  exit 1
    └── blackbox.client.ClientError and its children
"""


class BlackboxError(Exception):
    """Its text is one line for people: what went wrong and, where it is known, what to do."""


class UsageError(BlackboxError):
    """A flag, a variable, a settings file or an argument is wrong."""


class FailureError(BlackboxError):
    """The request was fine and could not be carried out."""
