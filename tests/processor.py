"""What the processor that the tests run on can do."""

from __future__ import annotations

import pytest
import torch

from surefit.model.int8_products import int8_speedup

needs_int8 = pytest.mark.skipif(
    int8_speedup(torch.get_num_threads(), torch.float32) == 0, reason="this processor has no exact products in int8"
)
