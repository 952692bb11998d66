"""Models to be saved, and texts for them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from surefit.config import ModelSettings
from surefit.model.pretrained import Pretrained, load_pretrained
from surefit.types import MULTI_LABEL, SINGLE_LABEL, LabelSchema, PackedBatch

TWO = LabelSchema(SINGLE_LABEL, ("no", "yes"))
THREE = LabelSchema(SINGLE_LABEL, ("a", "b", "c"))
MULTI = LabelSchema(MULTI_LABEL, ("a", "b", "c"))
TEXTS = [
    "A good film.",
    "the  worst\tmovie\u00a0of the\u200byear\x00 , not \ufeffgood\r\n",
    "cafe\u0301 caf\u00e9 o\u0308",
    "good film " * 500,
    " ",
    "\u200b",
    "電影很好看 фильм хороший فیلم می‌خواهم",
    "a [SEP] b [PAD] <mask> </s> [MASK] c",
    "👩‍👩‍👧 zebra",
    "x" * 3000,
]


def trained(directory: Path, schema: LabelSchema, head: str | None = None) -> Pretrained:
    """A loaded model with a head that is unsure on average and not the same for all rows."""
    loaded = load_pretrained(str(directory), schema, ModelSettings(head=head, max_length=48), seed=1)
    layer = loaded.classifier.network.get_submodule(loaded.classifier.output_layer)
    batch = PackedBatch.from_encodings(loaded.tokenizer.encode(TEXTS), np.arange(len(TEXTS)))
    torch.manual_seed(5)
    with torch.no_grad():
        layer.weight.normal_()
        layer.bias -= loaded.classifier(batch).mean(dim=0)[-len(layer.bias) :]
    return loaded
