"""How hot it usually is where the landmarks are, towards the end of a training."""

from __future__ import annotations

import torch
from torch import Tensor

FOLLOWED_SHARE = 0.01
"""Of a batch in what follows the training."""


def follow_heat(usual_heat: Tensor, heat: Tensor, is_shown: Tensor) -> None:
    """Let the usual heat (n,) follow that (batch, n) of a training batch, where the landmark (batch, n) is shown."""
    shown = is_shown.sum(0)
    current = torch.where(is_shown, heat, 0.0).sum(0) / shown.clamp(min=1)
    usual_heat.lerp_(torch.where(shown > 0, current, usual_heat), FOLLOWED_SHARE)
