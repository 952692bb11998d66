"""What the processor that the tests run on can do."""

from __future__ import annotations

import pytest

from surefit.model.int8_products import int8_is_exact

needs_int8 = pytest.mark.skipif(not int8_is_exact(), reason="this processor has no exact products in int8")
