"""What crosses a process border: frames between a process that observes and the daemon, and what agents report.

Standard library only, Python 3.9 and newer: this package also runs inside other people's programs.
"""

from blackbox.wire.frame import HEADER, MAGIC, MAX_PAYLOAD_BYTES, VERSION, Frame, FrameKind, Unpacker, WireError, pack

__all__ = ["HEADER", "MAGIC", "MAX_PAYLOAD_BYTES", "VERSION", "Frame", "FrameKind", "Unpacker", "WireError", "pack"]
