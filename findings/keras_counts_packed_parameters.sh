#!/bin/sh
# Quantizing a model in Keras to 4 bits halves the number of its parameters: two that share a byte are one.
#
# Expected: "Total params" of a model stays, whatever its parameters are kept in; only its bytes shrink. What happens:
# bytes into which two of 4 bits were packed count as one parameter, and scales, zero points and an index count as
# parameters, too: 65,536 are 65,792 in 8 bits, and 34,048 in 4. The bytes in brackets are right, but for what is
# `bool`: that is an eighth of what it takes. With keras 3.15.1 and torch 2.13.0.
#
# So: parameters are counted before a model is quantized; from a count after that no size follows.

. "$(dirname "$0")/evidence.sh"

install keras==3.15.1 torch==2.13.0 numpy==2.4.6
export KERAS_BACKEND=torch
evidence <<'PYTHON'
import re
import warnings

from evidence import Evidence


warnings.simplefilter("ignore")
import keras
from keras import layers


class Masked(layers.Layer):
    """Without parameters, with a mask of 1000 bytes."""

    def build(self, shape: object) -> None:
        self.mask = self.add_weight(shape=(1000,), dtype="bool", initializer="zeros", trainable=False)

    def call(self, inputs: object) -> object:
        return inputs


def model(layer: layers.Layer) -> keras.Model:
    return keras.Sequential([layers.Input((256,)), layer])


def told(one: keras.Model) -> dict[str, str]:
    """Numbers and sizes, as the summary has them."""
    lines: list[str] = []
    one.summary(print_fn=lambda text, **_: lines.append(text))
    return dict(re.findall(r"(Total|Trainable) params: (.*)", "\n".join(lines)))


def quantized(mode: str) -> keras.Model:
    one = model(layers.Dense(256, use_bias=False))
    one.quantize(mode)
    return one


evidence = Evidence()
evidence.see("32 bits", told(model(layers.Dense(256, use_bias=False))), {"Total": "65,536 (256.00 KB)", "Trainable": "65,536 (256.00 KB)"})
evidence.see("8 bits", told(quantized("int8")), {"Total": "65,792 (65.00 KB)", "Trainable": "0 (0.00 B)"})
evidence.see("4 bits", told(quantized("int4")), {"Total": "34,048 (35.50 KB)", "Trainable": "0 (0.00 B)"})
masked = model(Masked())
evidence.see("a mask of 1000, each a byte", (told(masked)["Total"], masked.weights[0].value.nbytes), ("1,000 (125.00 B)", 1000))
evidence.close()
PYTHON
