"""What the processor that the tests run on can do, and what was built for it."""

from __future__ import annotations

import pytest
import torch

from surefit.model.inference_products import can_be_packed
from surefit.model.int8_products import int8_is_exact
from surefit.model.kernels.library import library

HAS_AVX512 = torch.backends.cpu.get_cpu_capability() == "AVX512"

needs_int8 = pytest.mark.skipif(not int8_is_exact(), reason="this processor has no exact products in int8")
needs_packed_products = pytest.mark.skipif(
    not can_be_packed(torch.bfloat16, "gelu"), reason="torch has no packed products in bf16 for this processor"
)
needs_compiled_loops = pytest.mark.skipif(
    library() is None,
    reason="the compiled loops were not built"
    if HAS_AVX512
    else "this processor has no AVX-512, or torch was told not to use it",
)
by_torch_and_by_compiled_loops = pytest.mark.parametrize(
    "compiled", [False, pytest.param(True, marks=needs_compiled_loops)], ids=["torch", "loops"]
)
