"""AdamW, and the learning rate of each step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from surefit.config import TrainingSettings

_BERT_BASE_WIDTH = 768
_MOST_USUAL_RATE, _LEAST_USUAL_RATE = 2e-4, 1e-5


def build_optimizer(model: nn.Module, settings: TrainingSettings) -> torch.optim.AdamW:
    """AdamW with bias correction; weight decay spares vectors, that is bias and LayerNorm.

    Source: Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization", algorithm 2.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [parameter for parameter in parameters if parameter.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [parameter for parameter in parameters if parameter.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.999), eps=1e-8, fused=True)


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


def set_learning_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    """Sets the rate of all parameter groups."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
