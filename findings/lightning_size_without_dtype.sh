#!/bin/sh
# The model's size in PyTorch Lightning's summary is four bytes for each parameter, whatever the parameters are.
#
# Expected: "Total estimated model params size" adds up what the parameters take, as they are there to be asked. What
# happens: it is their number times the bits of the trainer's setting `precision`. A model whose weights are bfloat16
# already, trained with the default or with "bf16-mixed", is told twice as large as it is, one in 8 bits four times, one
# in 64 bits half as large. Buffers are not in it. With pytorch-lightning 2.6.6.
#
# So: the summary's size is none of the memory's; the bytes are those of the tensors.

. "$(dirname "$0")/evidence.sh"

install pytorch-lightning==2.6.6 torch==2.13.0 numpy==2.4.6
evidence <<'PYTHON'
import logging
import warnings

from evidence import Evidence


import torch
from torch import nn

warnings.simplefilter("ignore")
logging.disable(logging.WARNING)
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.utilities.model_summary import ModelSummary


class Model(LightningModule):
    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.layer = nn.Linear(1000, 1000, bias=False).to(dtype)
        self.register_buffer("cache", torch.zeros(1000, 1000))


def told(dtype: torch.dtype, precision: str | None = None) -> tuple[float, float]:
    """Megabytes by the summary, and of the parameters."""
    model = Model(dtype)
    if precision is not None:
        model.trainer = Trainer(accelerator="cpu", precision=precision, logger=False, enable_checkpointing=False)
    return ModelSummary(model).model_size, sum(one.nbytes for one in model.parameters()) / 1e6


evidence = Evidence()
evidence.see("float32: told, and taken", told(torch.float32), (4.0, 4.0))
evidence.see("bfloat16", told(torch.bfloat16), (4.0, 2.0))
evidence.see("bfloat16, trained with bf16-mixed", told(torch.bfloat16, "bf16-mixed"), (4.0, 2.0))
evidence.see("8 bits", told(torch.float8_e4m3fn), (4.0, 1.0))
evidence.see("float64", told(torch.float64), (4.0, 8.0))
evidence.see("float32, before bf16-true has changed it", told(torch.float32, "bf16-true"), (2.0, 4.0))
evidence.close()
PYTHON
