"""One thread of a program is sent through a few instructions of ours, and goes on where it was: `blackbox attach
--experimental`, for Python 3.9 and newer on x86-64.

The way: `elf` (where functions of Python lie in the program) -> `cave` (unused bytes that take the instructions) ->
`tracing` (one thread is stopped, looked at, let go) -> `thread` (whether it may be borrowed, and its registers for the
way round) -> `child` (what runs all that, in a process of its own, and gives the program its task over a socket).

The thread is stopped for less than a millisecond. One write of its registers is the commit point: before it nothing has
changed for the program but unused bytes, after it the thread comes back by itself. Nothing is waited for while it is
stopped, so whoever attaches may be killed at any moment. Standard library alone.
"""
