#!/bin/sh
# A pickle of nothing but bytes names a function to call, in the protocol that `torch.save` writes.
#
# Expected: plain data (numbers, texts, bytes, lists, dicts) is written by opcodes of its own, whatever the protocol, so a
# reader that refuses every name (`find_class` raises) reads it. What happens: protocols 0 to 2 have no opcode for bytes;
# Python 3 writes them as a text and a call of `_codecs.encode`, and empty ones as a call of `bytes`. A set is a call
# before protocol 4, a bytearray before 5. PyTorch's `torch.save` still writes protocol 2. With CPython 3.11.7.
#
# So: what a safe reader refuses depends on the protocol as much as on the data; a test of one that uses `pickle.dumps`
# as it is sees protocol 4 or 5 alone.

. "$(dirname "$0")/evidence.sh"

evidence <<'PYTHON'
import pickle
import pickletools

from evidence import Evidence


def names(thing: object, protocol: int) -> list[str]:
    """What the pickle asks for, in the order of the opcodes."""
    found: list[str] = []
    for code, argument, _ in pickletools.genops(pickle.dumps(thing, protocol)):
        if code.name == "GLOBAL":
            found.append(str(argument))
        elif code.name == "STACK_GLOBAL":
            found.append("by the stack")
    return found


evidence = Evidence()
for protocol in (2, 3, 4):
    evidence.see(f"numbers, texts, None, a list, a dict, a tuple: {protocol}", names([{"a": (1, 2.5, None)}], protocol), [])
evidence.see("bytes, protocol 2", names(b"x", 2), ["_codecs encode"])
evidence.see("no bytes, protocol 2", names(b"", 2), ["__builtin__ bytes"])
evidence.see("bytes, protocol 3", names(b"x", 3), [])
evidence.see("a set, protocol 3", names({1}, 3), ["builtins set"])
evidence.see("a set, protocol 4", names({1}, 4), [])
evidence.see("a bytearray, protocol 4", names(bytearray(b"x"), 4), ["by the stack"])
evidence.see("a bytearray, protocol 5", names(bytearray(b"x"), 5), [])
evidence.close()
PYTHON
