#!/bin/sh
# What msgspec's JSON reads, its MessagePack cannot always write, and its own JSON cannot always read back.
#
# Expected: a value that passed a typed decoder can be encoded again, by either codec. What happens: JSON integers have
# any size, MessagePack ends at 2^64 - 1 (as the format does); a float that is NaN or infinite is written to JSON as
# `null`, without an error, and the same type refuses that `null`. A bound on integers beyond 64 bits cannot be declared.
#
# So: whatever arrives as JSON and is kept as MessagePack needs a range at the door, or one number stops the writer; and
# NaN must be turned into "unknown" before it is encoded.

. "$(dirname "$0")/evidence.sh"

install msgspec==0.22.0
evidence <<'PYTHON'
import math
from typing import Annotated

from evidence import Evidence, outcome


import msgspec


class Reading(msgspec.Struct):
    bytes: int = 0
    ratio: float = 0.0


large = msgspec.json.decode(b'{"bytes":18446744073709551616}', type=Reading)
not_a_number = msgspec.json.encode(Reading(ratio=math.nan))

evidence = Evidence()
evidence.see("2^64 from JSON, typed int", large.bytes, 2**64)
evidence.see("the same to JSON", msgspec.json.encode(large.bytes), b"18446744073709551616")
evidence.see("the same to MessagePack", outcome(lambda: msgspec.msgpack.encode(large)), "OverflowError")
evidence.see("2^64 - 1 to MessagePack", len(msgspec.msgpack.encode(2**64 - 1)), 9)
evidence.see(
    "a bound of 2^64 - 1",
    outcome(lambda: msgspec.json.decode(b"1", type=Annotated[int, msgspec.Meta(le=2**64 - 1)])),
    "ValueError",
)
evidence.see("NaN to JSON", not_a_number, b'{"bytes":0,"ratio":null}')
evidence.see(
    "and back, by the same type", outcome(lambda: msgspec.json.decode(not_a_number, type=Reading)), "ValidationError"
)
evidence.see("infinity to JSON", msgspec.json.encode(math.inf), b"null")
evidence.see("infinity through MessagePack", msgspec.msgpack.decode(msgspec.msgpack.encode(math.inf)), math.inf)
evidence.close()
PYTHON
