"""Bringing the agent into a program that already runs, or out of it again: `blackbox attach`, `blackbox detach`.

On Python 3.14 and newer, by the interpreter's own remote debugging (PEP 768): the program is never stopped. The way:
`program` (what the kernel shows of it) -> `objections` (why it must be left alone) -> `handover` (starts a child of the
program's own interpreter, `remote`, which hands it a script) -> `inside` (what that script does in there).

Only the command line imports this; the server never attaches to anything.
"""
