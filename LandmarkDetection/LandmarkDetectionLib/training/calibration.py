"""Calibration of a model by what it finds in cases that had no part in it: conformal radii, covariances, presence."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..detectors.calibrated import calibrated
from ..evaluation.metrics import error_table
from ..geometry import FloatArray
from ..landmarks import Detection, LandmarkSet
from ..models.calibration import Calibration
from ..models.card import ModelCard
from .cases import TrainingCase

_FEWEST_CASES = 9
"""Of fewer, not even the largest error is an upper limit for 90 % of those to come."""
_SMALLEST_ERROR_MM = 1e-3
_SMALLEST_SCALE = 1e-6


@dataclass(frozen=True, eq=False)
class HeldOut:
    """A case as a model detects it that has not seen it.

    Attributes:
        case: its volume may have been cut short.
        detection: without any calibration.
    """

    case: TrainingCase
    detection: Detection


def conformal_quantile(scores: ArrayLike) -> float:
    """The score that one more, exchangeable with these, stays at or below with a probability of 90 % or more.

    That is the ceil(0.9 (n + 1))-th smallest of n; NaN of fewer than 9 [Lei 2018, algorithm 2].

    Example:
        >>> conformal_quantile([3.0, 1.0, 2.0, 4.0, 5.0, 9.0, 8.0, 7.0, 6.0, 11.0])
        11.0
    """
    ordered = np.sort(np.asarray(scores, dtype=np.float64))
    if len(ordered) < _FEWEST_CASES:
        return np.nan
    rank = -(-9 * (len(ordered) + 1) // 10)
    return float(ordered[rank - 1])


def fit_calibration(card: ModelCard, whole: Sequence[HeldOut], short: Sequence[HeldOut], origin: str) -> Calibration:
    """What to make of a model's own uncertainty and evidence.

    The conformal scores are errors over the root of spread^2 + usual error^2 [Lei 2018, section 5.2]. Squared
    Mahalanobis distances, over what those of a normal distribution stay below in 90 %, scale the covariances. The usual
    error is a median over the same cases; conformal prediction would want others, but one number hardly follows them.

    Args:
        card: of the model, for its landmarks; its own calibration does not matter.
        whole: cases in their whole volumes.
        short: cases in volumes cut short, for the presence.
        origin: of all these, in words for the card.
    """
    from scipy import stats

    found = [_Finding.of(card, one) for one in whole]
    errors_mm = np.array([one.errors_mm for one in found]).reshape(-1, len(card.landmarks))
    spreads_mm = np.array([one.spreads_mm for one in found]).reshape(errors_mm.shape)
    usual_mm = np.maximum(_by_landmark(errors_mm, np.median), _SMALLEST_ERROR_MM)
    usual_spreads_mm = _by_landmark(spreads_mm, np.median)
    factors = _by_landmark(errors_mm / np.hypot(spreads_mm, usual_mm), conformal_quantile)
    distances = np.array([one.squared_distances(usual_mm) for one in found]).reshape(errors_mm.shape)
    scales = _by_landmark(distances, conformal_quantile) / stats.chi2.ppf(0.9, card.dimension)

    def by_label(values: FloatArray) -> dict[str, float]:
        return {
            label: float(f"{value:.4g}")
            for label, value, factor in zip(card.labels, values, factors, strict=True)
            if factor > 0
        }

    calibration = Calibration(
        radius90_mm=by_label(factors * np.hypot(usual_spreads_mm, usual_mm)),
        cases=len(whole),
        method=_method(card, errors_mm, origin),
        usual_error_mm=by_label(usual_mm),
        usual_spread_mm=by_label(usual_spreads_mm),
        variance_scale=by_label(np.maximum(scales, _SMALLEST_SCALE)),
    )
    return _with_presence(calibration, card, [*whole, *short])


@dataclass(frozen=True, eq=False)
class _Finding:
    """A detection beside the truth, in the order of the model's landmarks, interchangeable ends as it has them.

    Attributes:
        is_known: (n,) whether somebody placed the landmark.
        is_shown: (n,) whether it lies in the volume, too.
        offsets: (n, d) detected - true, along the d axes of the volume.
        covariances: (n, d, d) along these.
    """

    is_known: NDArray[np.bool_]
    is_shown: NDArray[np.bool_]
    offsets: FloatArray
    covariances: FloatArray

    @classmethod
    def of(cls, card: ModelCard, held_out: HeldOut) -> _Finding:
        volume, marks = held_out.case.volume, held_out.detection.landmarks
        positions = LandmarkSet({mark.label: mark.position_ras for mark in marks})
        table = error_table([held_out.case.landmarks], [positions], card.labels, card.interchangeable)
        # Exchanging ends twice leaves them as they were: the truth of a detection's label is found as the other way.
        true_ras = table.true_ras[0, table.assignment[0]]
        is_known = ~np.isnan(true_ras).any(axis=1)
        axes = volume.directions[:, np.array(volume.size) > 1]
        covariances = axes.T @ np.array([mark.covariance_ras for mark in marks]) @ axes
        offsets = (positions.to_array(card.labels) - true_ras) @ axes
        return cls(is_known, is_known & volume.contains(true_ras), offsets, covariances)

    @property
    def errors_mm(self) -> FloatArray:
        """(n,), NaN where the volume does not show the landmark."""
        return np.where(self.is_shown, np.linalg.norm(self.offsets, axis=1), np.nan)

    @property
    def spreads_mm(self) -> FloatArray:
        """(n,), NaN where the volume does not show the landmark."""
        return np.where(self.is_shown, np.sqrt(np.trace(self.covariances, axis1=1, axis2=2)), np.nan)

    def squared_distances(self, usual_mm: FloatArray) -> FloatArray:
        """Mahalanobis distances (n,) with usual errors (n,) joined to the covariances, NaN as above."""
        dimension = self.offsets.shape[1]
        joined = self.covariances + usual_mm[:, None, None] ** 2 / dimension * np.eye(dimension)
        offsets = np.where(self.is_shown[:, None], self.offsets, np.nan)
        return (offsets * np.linalg.solve(joined, offsets[..., None])[..., 0]).sum(axis=1)


def _by_landmark(values: FloatArray, statistic: Callable[[FloatArray], float]) -> FloatArray:
    """A statistic (n,) of each column of values (cases, n), where it has fewer than 9 of all of them; NaN of none."""
    together = values[~np.isnan(values)]
    columns = [column[~np.isnan(column)] for column in values.T]
    enough = [column if len(column) >= _FEWEST_CASES else together for column in columns]
    return np.array([statistic(column) if len(column) else np.nan for column in enough])


def _method(card: ModelCard, errors_mm: FloatArray, origin: str) -> str:
    counts = (~np.isnan(errors_mm)).sum(axis=0)
    few = [label for label, count in zip(card.labels, counts, strict=True) if count < _FEWEST_CASES]
    note = f"; numbers of all landmarks together, for too few cases show it, for: {', '.join(few)}" if few else ""
    return f"normalised split conformal prediction, {origin}{note}"


def _with_presence(calibration: Calibration, card: ModelCard, held_out: Sequence[HeldOut]) -> Calibration:
    """The calibration with weight and bias of the method's evidence, by logistic regression.

    A detection counts as much as its position is likely to lie in the volume: where it does not, evidence is not needed
    to call the landmark missing.
    """
    from sklearn.linear_model import LogisticRegression

    rows = [row for one in held_out for row in _evidence(calibration, card, one)]
    if len({is_shown for _, is_shown, _ in rows}) < 2:
        return calibration
    logits, is_shown, weights = map(np.array, zip(*rows, strict=True))
    regression = LogisticRegression().fit(logits[:, None], is_shown, sample_weight=weights)
    weight, bias = (float(f"{value:.4g}") for value in (regression.coef_[0, 0], regression.intercept_[0]))
    return dataclasses.replace(calibration, presence_weight=weight, presence_bias=bias)


def _evidence(calibration: Calibration, card: ModelCard, held_out: HeldOut) -> list[tuple[float, bool, float]]:
    """By landmark with evidence and truth: evidence, whether the volume shows it, how likely its position is in it."""
    marks = held_out.detection.landmarks
    finding = _Finding.of(card, held_out)
    placed = [dataclasses.replace(mark, evidence=None) for mark in marks]
    inside = [mark.presence for mark in calibrated(placed, held_out.case.volume, calibration)]
    rows = zip(marks, finding.is_known, finding.is_shown, inside, strict=True)
    return [
        (mark.evidence, bool(is_shown), likelihood)
        for mark, is_known, is_shown, likelihood in rows
        if is_known and mark.evidence is not None
    ]
