#!/bin/sh
# The same tensors with the same metadata make another safetensors file in every process.
#
# Expected: a format without timestamps, whose tensors lie in an order of its own, gives the same bytes for the same
# content. What happens: metadata of more than one key is written in the order of a hash table that is seeded anew, also
# within one process. With one key or none, the bytes are the same. With safetensors 0.8.0.
#
# So: a file's hash does not tell whether a model or an adapter is the same one; a key over what it holds does (names,
# types, shapes and bytes of the tensors, and the metadata in order).

. "$(dirname "$0")/evidence.sh"

install safetensors==0.8.0 numpy==2.4.6
evidence <<'PYTHON'
from evidence import Evidence


import numpy
from safetensors.numpy import load, save

TENSORS = {"b": numpy.zeros(3, numpy.float32), "a": numpy.ones(3, numpy.float16)}
METADATA = {letter: letter for letter in "abcdefgh"}
SAVES = 50


def files(metadata: dict[str, str] | None) -> set[bytes]:
    return {save(TENSORS, metadata=metadata) for _ in range(SAVES)}


several = files(METADATA)
evidence = Evidence()
evidence.see("different files without metadata", len(files(None)), 1)
evidence.see("with one key", len(files({"format": "np"})), 1)
evidence.see("with eight keys, more than one", len(several) > 1, True)
evidence.see("of one length", len({len(one) for one in several}), 1)
evidence.see("tensors at their ends alike", len({one[-18:] for one in several}), 1)
evidence.see("names that they hold", {tuple(sorted(load(one))) for one in several}, {("a", "b")})
evidence.close()
PYTHON
