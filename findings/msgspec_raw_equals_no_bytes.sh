#!/bin/sh
# `msgspec.Raw` compares with nothing but `Raw`: `raw == b"[]"` is False whatever it holds, without an error.
#
# Expected: a `Raw` is a buffer of bytes, `bytes(raw)` and `memoryview(raw)` give them, so it equals the same bytes, as a
# `memoryview` and a `bytearray` do. What happens: in 0.22.0, comparing with `bytes` falls back to identity, so `==` is
# always False and `!=` always True. A check such as `if answer["gpus"] != b"[]"` looks right, type checkers do not mind,
# and it always holds.
#
# So: `bytes(raw) == b"[]"`, and a test that walks both ways.

. "$(dirname "$0")/evidence.sh"

install msgspec==0.22.0
evidence <<'PYTHON'
import msgspec

from evidence import Evidence

raw = msgspec.json.decode(b'{"gpus": []}', type=dict[str, msgspec.Raw])["gpus"]

evidence = Evidence()
evidence.see("its bytes", bytes(raw), b"[]")
evidence.see("it equals a Raw of the same", raw == msgspec.Raw(b"[]"), True)
evidence.see("it equals the bytes", raw == b"[]", False)
evidence.see("it differs from them", raw != b"[]", True)
evidence.see("a memoryview of it equals them", memoryview(raw) == b"[]", True)
evidence.close()
PYTHON
