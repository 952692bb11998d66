"""AdamW, and the learning rate of each step."""

from __future__ import annotations

import torch
from torch import nn

from surefit.config import TrainingSettings


def build_optimizer(model: nn.Module, settings: TrainingSettings) -> torch.optim.AdamW:
    """AdamW with bias correction; weight decay spares vectors, that is bias and LayerNorm.

    Source: Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization", algorithm 2.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [parameter for parameter in parameters if parameter.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [parameter for parameter in parameters if parameter.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.999), eps=1e-8, fused=True)


def learning_rate_at(step: int, total_steps: int, settings: TrainingSettings) -> float:
    """Linear warm-up to the peak, then linear decay towards zero (Devlin et al. 2019, appendix A.2).

    Args:
        step: number of the step from 1.
        total_steps: steps of the whole run.
        settings: gives the peak and the share of the steps that warm up.
    """
    warmup = round(total_steps * settings.warmup_share)
    if step <= warmup:
        return settings.learning_rate * step / warmup
    return settings.learning_rate * (total_steps - step + 1) / (total_steps - warmup + 1)


def set_learning_rate(optimizer: torch.optim.Optimizer, learning_rate: float) -> None:
    """Sets the rate of all parameter groups."""
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
