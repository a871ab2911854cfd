"""What decoding bytes of others may raise."""

import msgspec

DECODE_ERRORS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""Of JSON and msgpack: neither is of that shape, text that is none, or nested deeper than any of ours."""
