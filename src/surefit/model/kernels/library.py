"""The compiled loops: found, loaded and called.

What they compute, torch computes too, in more steps: where they are missing, the fast paths use torch alone.
"""

from __future__ import annotations

import ctypes
import hashlib
from collections.abc import Callable
from ctypes import POINTER, Structure, c_float, c_int, c_int32, c_int64, c_long, c_uint64, c_void_p
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from surefit.model.configuration import BertConfig
from surefit.types import PackedBatch

LANES = 16

# As in `forms.h`; of the sources that these callers were written for.
VERSION = 4
FORMS = {torch.float32: 0, torch.bfloat16: 1, torch.uint8: 2}
ACTIVATION_KINDS = {"gelu": 0, "gelu_new": 1, "gelu_pytorch_tanh": 1, "relu": 2, "silu": 3, "swish": 3}


class Reading(Structure):
    _fields_ = (("form", c_int32), ("zero_point", c_float), ("steps", c_void_p))


class Norm(Structure):
    _fields_ = (("weight", c_void_p), ("bias", c_void_p), ("eps", c_float))


class Apart(Structure):
    _fields_ = (
        *(("channels", c_int64), ("activation", c_int64)),
        *((name, c_void_p) for name in ("widening", "bias", "narrowing")),
    )


class Heads(Structure):
    _fields_ = (
        *((name, c_int64) for name in ("heads", "width", "query_stride", "stride")),
        *((name, c_void_p) for name in ("query", "key", "value")),
        ("form", c_int64),
    )


class Rows(Structure):
    _fields_ = (*((name, c_int64) for name in ("count", "longest", "only_first")), ("ends", c_void_p))


class ScoreMask(Structure):
    _fields_ = (*((name, c_void_p) for name in ("keep", "first", "width")), ("scale", c_float))


_ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "surefit_attention_scratch": (c_long, c_long),
    "surefit_attention": (
        *(POINTER(Heads), POINTER(Rows), POINTER(ScoreMask), POINTER(Reading)),
        *(c_void_p, c_void_p, c_void_p, c_int),
    ),
    "surefit_apart_scratch": (c_long,),
    "surefit_add_and_normalize": (
        *(c_void_p, c_void_p, c_int, c_long, c_long, POINTER(Norm)),
        *(c_void_p, POINTER(Reading), c_void_p, POINTER(Apart), c_void_p, c_int),
    ),
    "surefit_embed": (
        *(c_void_p, c_void_p, c_void_p, c_void_p, c_void_p, c_void_p, c_long, c_long),
        *(POINTER(Norm), c_void_p, POINTER(Reading), c_void_p, c_int),
    ),
    "surefit_activate": (c_void_p, c_int, c_long, c_int, c_void_p, c_int),
    "surefit_attention_backward_scratch": (c_long, c_long),
    "surefit_attention_backward": (
        *(POINTER(Heads), POINTER(Rows), POINTER(ScoreMask), c_void_p, c_void_p),
        *(POINTER(Heads), c_void_p, c_int),
    ),
    "surefit_chunks": (c_long,),
    "surefit_keep": (c_uint64, c_uint64, c_uint64, c_uint64, c_long, c_int, c_void_p, c_int),
    "surefit_train_normalize": (
        *(c_void_p, c_void_p, c_int, c_void_p, c_long, c_long, c_long),
        *(POINTER(Norm), c_void_p, c_void_p, c_void_p, c_void_p, c_int),
    ),
    "surefit_train_normalize_backward": (
        *(c_void_p, c_void_p, c_int, c_void_p, c_void_p, c_void_p, c_long, c_long, c_long, POINTER(Norm)),
        *(c_void_p, c_void_p, c_void_p, c_void_p, c_void_p, c_float, c_void_p, c_int),
    ),
    "surefit_activate_backward": (
        *(c_void_p, c_void_p, c_int, c_long, c_long),
        *(c_int, c_void_p, c_void_p, c_void_p, c_int),
    ),
}


@cache
def library() -> ctypes.CDLL | None:
    """The compiled loops, or None where they were not built or this processor cannot run them."""
    # torch is loaded by now, and with it the OpenMP runtime whose threads the loops share.
    if torch.backends.cpu.get_cpu_capability() != "AVX512":
        return None
    for path in Path(__file__).parent.glob("_avx512*.so"):
        try:
            loaded = ctypes.CDLL(str(path))
            if loaded.surefit_loops_version() != VERSION:
                continue
            for name, arguments in _ARGUMENTS.items():
                function = getattr(loaded, name)
                function.argtypes, function.restype = arguments, c_long if name.endswith(("scratch", "chunks")) else None
        except (OSError, AttributeError):  # built for another system, or from another version's source
            continue
        return loaded
    return None


@cache
def library_sha256() -> str:
    """SHA-256 of the file that was loaded: other compilers round otherwise. Empty where none was."""
    loaded = library()
    return "" if loaded is None else hashlib.sha256(Path(loaded._name).read_bytes()).hexdigest()


def fits(shape: BertConfig) -> bool:
    """Whether the loops can compute an encoder of this shape: they take sixteen values at a time."""
    widths = (shape.hidden_size, shape.intermediate_size, shape.head_dim)
    return library() is not None and shape.hidden_act in ACTIVATION_KINDS and not any(width % LANES for width in widths)


def call(name: str) -> Callable[..., int]:
    """One of the loops."""
    loaded = library()
    assert loaded is not None
    function: Callable[..., int] = getattr(loaded, name)
    return function


def address(tensor: Tensor | None) -> int | None:
    """Where a contiguous tensor stands in memory; None for none."""
    assert tensor is None or tensor.is_contiguous()
    return None if tensor is None else tensor.data_ptr()


def team(values: int) -> int:
    """How many threads are worth waking for so many values."""
    return torch.get_num_threads() if values > 32768 else 1


def attention_team(batch: PackedBatch, hidden: int) -> int:
    """The same for the attention of a batch, whose work grows with its rows' length."""
    return team(batch.tokens * batch.max_seqlen * hidden // 16)


def norm(module: nn.LayerNorm) -> Norm:
    """A LayerNorm's structure."""
    return Norm(address(module.weight), address(module.bias), module.eps)


def heads(count: int, query: Tensor, key: Tensor, value: Tensor) -> Heads:
    """The structure of queries, keys and values, each of shape (n, heads * width)."""
    assert query.dtype == key.dtype == value.dtype
    assert query.stride(1) == 1
    assert key.stride() == value.stride()
    strides = (query.stride(0), key.stride(0))
    addresses = (query.data_ptr(), key.data_ptr(), value.data_ptr())
    return Heads(count, query.shape[1] // count, *strides, *addresses, FORMS[query.dtype])
