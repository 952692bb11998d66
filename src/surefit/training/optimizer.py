"""AdamW, and the learning rate of each step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim.adamw import adamw

from surefit.config import TrainingSettings
from surefit.model.parameters import FlatParameters

_BERT_BASE_WIDTH = 768
_MOST_USUAL_RATE, _LEAST_USUAL_RATE = 2e-4, 1e-5


class AdamW:
    """AdamW with bias correction; weight decay spares vectors, that is bias and LayerNorm.

    Weights that have not had a gradient yet stay as they are, as with torch's AdamW: some encoders
    have parts that a classifier does not use.

    Of the word embeddings only the rows that a step used move, as with torch's SparseAdam: the
    moments and the decay of the others stand still, where dense AdamW would go on moving them by
    their momentum (docs/architecture.md).

    Source: Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization", algorithm 2.

    Args:
        parameters: the weights.
        weight_decay: of matrices.
    """

    def __init__(self, parameters: FlatParameters, weight_decay: float) -> None:
        parameters.make_gradients()
        parameters.clear_gradients(torch.arange(len(parameters.words), device=parameters.words.device))
        self._parameters = parameters
        self._weight_decay = weight_decay
        self._moments = [torch.zeros_like(parameters.values) for _ in range(2)]
        self._word_moments = [torch.zeros_like(parameters.words, requires_grad=False) for _ in range(2)]
        self._step = 0
        self._idle = parameters.matrices  # those that have not had a gradient yet

    @torch.no_grad()
    def step(self, learning_rate: float, word_rows: Tensor) -> None:
        """Moves the weights once and sets the gradients to zero.

        Args:
            learning_rate: the rate of this step.
            word_rows: the rows of the word embeddings that have gradients, rising, shape (rows,), int64.
        """
        flat = self._parameters
        self._idle = self._zero_in(self._idle, flat.gradients)
        for start, end, decayed in flat.spans(set(flat.matrices).difference(self._idle)):
            tensors = (tensor[start:end] for tensor in (flat.values, flat.gradients, *self._moments))
            self._move(*tensors, learning_rate=learning_rate, weight_decay=self._weight_decay if decayed else 0.0)
        whole = (flat.words, *self._word_moments)
        words, *moments = (tensor.index_select(0, word_rows) for tensor in whole)
        gradients = flat.word_gradients.index_select(0, word_rows)
        self._move(words, gradients, *moments, learning_rate=learning_rate, weight_decay=self._weight_decay)
        for tensor, rows in zip(whole, (words, *moments), strict=True):
            tensor.index_copy_(0, word_rows, rows)
        flat.clear_gradients(word_rows)
        self._step += 1

    def _move(
        self,
        values: Tensor,
        gradients: Tensor,
        mean: Tensor,
        variance: Tensor,
        *,
        learning_rate: float,
        weight_decay: float,
    ) -> None:
        steps = torch.full((), float(self._step), device=values.device)  # made on the device, which is not waited for
        adamw(
            [values], [gradients], [mean], [variance], [], [steps],
            lr=learning_rate, weight_decay=weight_decay, beta1=0.9, beta2=0.999, eps=1e-8,
            amsgrad=False, maximize=False, fused=True,
        )  # fmt: skip

    def tensors(self) -> dict[str, Tensor]:
        """All that it remembers, by the names of the parameters, for a checkpoint."""
        found = {"step": torch.tensor(self._step)}
        for kind, flat, words in zip(("mean", "variance"), self._moments, self._word_moments, strict=True):
            parts = self._parameters.by_name(flat) | {"words": words}
            found |= {f"{kind} of {name}": part for name, part in parts.items()}
        return found

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Takes over what `tensors` gave.

        Raises:
            ValueError: they are of another model.
        """
        own = self.tensors()
        if {name: tensor.shape for name, tensor in own.items()} != {name: tensor.shape for name, tensor in tensors.items()}:
            raise ValueError("the optimizer's tensors are of another model")
        for name in own.keys() - {"step"}:
            own[name].copy_(tensors[name])
        self._step = int(tensors["step"])
        self._idle = self._zero_in(self._parameters.matrices, *self._moments)

    def _zero_in(self, names: Sequence[str], *tensors: Tensor) -> list[str]:
        """Those of some weights that have nothing but zeros in tensors like `values`."""
        places = self._parameters.places
        return [name for name in names if not any(tensor[slice(*places[name])].any() for tensor in tensors)]


def peak_learning_rate(settings: TrainingSettings, config: Mapping[str, Any]) -> float:
    """The rate that was asked for, else the usual one for the model's width.

    Narrow models take and need larger steps than wide ones. The rule goes through 5e-5 at BERT-base's
    width of 768, among the rates of Devlin et al. 2019, appendix A.3, and falls with the square of
    the width; 2e-4 at MiniLM's 384 is what our trials gave (docs/architecture.md), and the most.

    Args:
        settings: may name a rate.
        config: content of the model's `config.json`.
    """
    if settings.learning_rate is not None:
        return settings.learning_rate
    width = config.get("hidden_size") or config.get("dim") or _BERT_BASE_WIDTH
    return float(min(_MOST_USUAL_RATE, max(_LEAST_USUAL_RATE, 5e-5 * (_BERT_BASE_WIDTH / width) ** 2)))


def learning_rate_at(step: int, total_steps: int, peak: float, warmup_share: float) -> float:
    """Linear warm-up to the peak, then linear decay towards zero (Devlin et al. 2019, appendix A.2).

    Args:
        step: number of the step from 1.
        total_steps: steps of the whole run.
        peak: the largest rate.
        warmup_share: share of the steps that warm up.
    """
    warmup = round(total_steps * warmup_share)
    if step <= warmup:
        return peak * step / warmup
    return peak * (total_steps - step + 1) / (total_steps - warmup + 1)
