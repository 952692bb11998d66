"""What the GPU that the tests run on can do."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

from surefit.model.varlen_attention import fits_flash, flash_capability

CUDA = torch.device("cuda")
needs_gpu = pytest.mark.skipif(
    not (torch.cuda.is_available() and fits_flash(flash_capability(CUDA), 64)),
    reason="there is no CUDA GPU here that has flash attention",
)


@contextmanager
def waiting_is_an_error() -> Iterator[None]:
    """While open, whatever waits for the GPU raises."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch says that it does not find all that waits
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")
