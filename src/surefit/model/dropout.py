"""Dropout (Srivastava et al. 2014) that goes by place: cutting a step's rows differently drops the same values."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from surefit.model.kernels.library import call, library, team
from surefit.text.packing import row_groups
from surefit.types import PackedBatch

_STEPS = 256
# Compiled loops read whole vectors.
SLACK = 16


@dataclass(frozen=True)
class StepDropout:
    """What one optimizer step drops.

    Every site (embeddings, attention and so on) has a stream of random bytes of its own, decided by
    seed, step and site alone, and every value of the step's rows has its place in it. A batch that
    holds only some of the rows begins further along, so that it drops what the uncut step would.

    One random byte decides for each value, so the share is rounded to 1/256, and the scale is that
    of the rounded share: the mean is kept. On other devices than CPUs torch's own dropout is taken,
    whose generator is set by seed and step; there a cut step drops other values.

    Attributes:
        seed: of the run.
        step: number of the optimizer step.
        tokens: tokens of the step's rows before this batch.
        rows: rows before this batch.
        scores: attention scores of one head before this batch.
    """

    seed: int
    step: int
    tokens: int = 0
    rows: int = 0
    scores: int = 0

    def begin(self) -> None:
        """Sets torch's own generator, which stock encoders and other devices draw from."""
        source = np.random.SeedSequence([self.seed, self.step])
        torch.manual_seed(int(source.generate_state(1, np.uint64)[0]) >> 1)

    def after(self, batch: PackedBatch) -> StepDropout:
        """For the batch that follows on this one in the same step."""
        scores = sum(group.rows * group.width**2 for group in row_groups(np.diff(batch.cu_seqlens)))
        return replace(self, tokens=self.tokens + batch.tokens, rows=self.rows + len(batch), scores=self.scores + scores)

    def keep(self, site: int, start: int, count: int, p: float) -> Tensor:
        """Which values stay: all bits set for them, none for those dropped, shape (count,), int8.

        Args:
            site: number of the site in the model.
            start: place of the first value in the site's stream.
            count: how many values.
            p: share to drop.

        Returns:
            a part of a longer tensor: `SLACK` more bytes can be read behind it.
        """
        generator = np.random.PCG64DXSM(np.random.SeedSequence([self.seed, self.step, site]))
        generator.advance(start // 8)
        skipped = start % 8
        kept = _kept_bytes(generator, (skipped + count + SLACK + 7) // 8, dropped_of_256(p))
        return torch.from_numpy(kept)[skipped : skipped + count]

    def drop(self, values: Tensor, site: int, start: int, p: float) -> Tensor:
        """Zeroes a random share of the values and scales up the others; arguments as for `keep`."""
        if p == 0:
            return values
        if values.device.type != "cpu":
            return functional.dropout(values, p)
        keep = self.keep(site, start, values.numel(), p).view(values.shape)
        return values * keep.bool() * kept_scale(p)


def _kept_bytes(generator: np.random.PCG64DXSM, words: int, dropped: int) -> NDArray[np.int8]:
    """-1 for random bytes of at least `dropped`, 0 for the others; eight a word."""
    if library() is None:
        drawn = np.random.Generator(generator).integers(0, 2**64, words, dtype=np.uint64).view(np.uint8)
        keep = np.greater_equal(drawn, dropped).view(np.int8)
        return np.negative(keep, out=keep)
    numbers = generator.state["state"]
    halves = [half for name in ("state", "inc") for half in divmod(numbers[name], 2**64)]
    into = np.empty(8 * words, np.int8)
    call("surefit_keep")(*halves, words, dropped, into.ctypes.data, team(len(into)))
    return into


_BITS = {torch.bfloat16: torch.int16, torch.float32: torch.int32}


def keep_values(values: Tensor, keep: Tensor, into: Tensor) -> Tensor:
    """Zeroes what is dropped, by its bits: several times faster than a product with zeros and ones.

    Args:
        values: bfloat16 or float32, contiguous.
        keep: as `StepDropout.keep` gives it, of as many values.
        into: a tensor like `values`, or it itself.
    """
    bits = _BITS[values.dtype]
    torch.bitwise_and(values.view(bits), keep.view(values.shape).to(bits), out=into.view(bits))
    return into


def dropped_of_256(p: float) -> int:
    """How many of 256 values a share `p` drops; all but one at most."""
    return min(round(p * _STEPS), _STEPS - 1)


def kept_scale(p: float) -> float:
    """What kept values are multiplied by, so that the mean is kept."""
    return _STEPS / (_STEPS - dropped_of_256(p))
