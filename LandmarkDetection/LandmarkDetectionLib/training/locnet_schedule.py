"""How much each scale of the multi-scale Loc-Net counts while it learns [Ma 2020, section 2]."""

from __future__ import annotations


def scale_weights(done: float, scales: int, *, middle_peak: float, least: float = 0.0) -> tuple[float, ...]:
    """Weights of the scales' losses, coarsest first, when a share of the training from 0 to 1 is done.

    The coarsest falls linearly from 1 to 0 and the finest rises from 0 to 1; those between rise from 0 to their peak at
    half time and fall to 0 again. How high they peak the paper does not say. A single scale always counts.

    Args:
        done: share of the training.
        scales: their number.
        middle_peak: weight of those between at half time.
        least: weight that none falls below; 0 in the paper.
    """
    if scales == 1:
        return (1.0,)
    middle = middle_peak * (1.0 - abs(2.0 * done - 1.0))
    return tuple(max(weight, least) for weight in (1.0 - done, *[middle] * (scales - 2), done))
