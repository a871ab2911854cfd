#!/bin/sh
# Loading a model with Tensorizer into a model whose weights are tied unties them: it takes more memory than before.
#
# Expected: `load_into_module` fills a model that is there, so an embedding and an output layer that share one weight
# share it afterwards, as with `load_state_dict` and `safetensors.torch.load_model`. What happens: each name has bytes of
# its own in the file, and each is put into the module as a parameter of its own. The model takes as much again as was
# shared, and trained on, both go their own ways. With tensorizer 2.12.1 and torch 2.13.0.
#
# So: such a model's size on disk and after loading is not that of its parameters before; `tie_weights()`, or what does
# that, is called again.

. "$(dirname "$0")/evidence.sh"

install tensorizer==2.12.1 safetensors==0.8.0 torch==2.13.0 numpy==2.4.6
evidence <<'PYTHON'
import tempfile
import warnings
from pathlib import Path

from evidence import Evidence


import torch
from safetensors.torch import load_model, save_model
from tensorizer import TensorDeserializer, TensorSerializer
from torch import nn

warnings.simplefilter("ignore")


def model() -> nn.Module:
    """400,000 bytes, which two layers share."""
    layers = nn.Sequential(nn.Embedding(1000, 100), nn.Linear(100, 1000, bias=False))
    layers[1].weight = layers[0].weight
    return layers


def held(module: nn.Module) -> int:
    return sum(one.nbytes for one in module.parameters())


evidence = Evidence()
with tempfile.TemporaryDirectory() as folder:
    path = str(Path(folder, "model.tensors"))
    writer = TensorSerializer(path)
    writer.write_module(model())
    writer.close()
    loaded, by_state, by_safetensors = model(), model(), model()
    evidence.see("bytes of the parameters before", held(loaded), 400_000)
    with TensorDeserializer(path, device="cpu") as reader:
        evidence.see("of the tensors in the file", reader.total_tensor_bytes, 800_000)
        reader.load_into_module(loaded)
    by_state.load_state_dict(model().state_dict())
    save_model(model(), str(Path(folder, "model.safetensors")))
    load_model(by_safetensors, str(Path(folder, "model.safetensors")))
    evidence.see("after load_state_dict, and by safetensors", (held(by_state), held(by_safetensors)), (400_000, 400_000))
    evidence.see("after Tensorizer", held(loaded), 800_000)
    evidence.see("one weight is shared", loaded[0].weight is loaded[1].weight, False)
evidence.close()
PYTHON
