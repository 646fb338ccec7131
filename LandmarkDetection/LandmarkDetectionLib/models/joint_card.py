"""JointCard: what is known about several models that answer together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter
from typing import Literal, TypeVar

from ..errors import LandmarkDetectionError
from ..landmarks import MODELS_SEPARATOR, LandmarkDefinition
from ..measurements import MeasurementDefinition
from ..planes import PlaneDefinition
from .card import ModelCard

Item = TypeVar("Item")


@dataclass(frozen=True)
class JointCard:
    """The part of a model card that models have in common, or add up to.

    Attributes:
        name, version, weights_sha256: those of all models in their order, with a "+" between, which no name and no
            hash contains.
        dimension: 2 for pictures, 3 for volumes.
        landmarks: every landmark that a model knows, as the first that knows it defines it.
        interchangeable: pairs of labels whose ends some model cannot tell apart.
        planes, measurements: each as the first model that has one of its name defines it.
    """

    name: str
    version: str
    weights_sha256: str
    dimension: Literal[2, 3]
    landmarks: tuple[LandmarkDefinition, ...]
    interchangeable: tuple[tuple[str, str], ...]
    planes: tuple[PlaneDefinition, ...]
    measurements: tuple[MeasurementDefinition, ...]

    @classmethod
    def of(cls, cards: Sequence[ModelCard]) -> JointCard:
        """What models add up to, one or more.

        Raises:
            LandmarkDetectionError: if a model is given twice, works on images of another dimension, or shares no
                landmark with the others.
        """
        _check_dimensions(cards)
        _check_hashes(cards)
        _check_landmarks(cards)
        return cls(
            name=MODELS_SEPARATOR.join(card.name for card in cards),
            version=MODELS_SEPARATOR.join(card.version for card in cards),
            weights_sha256=MODELS_SEPARATOR.join(card.weights_sha256 for card in cards),
            dimension=cards[0].dimension,
            landmarks=_first_of_each((one for card in cards for one in card.landmarks), attrgetter("label")),
            interchangeable=_first_of_each((pair for card in cards for pair in card.interchangeable), frozenset),
            planes=_first_of_each((plane for card in cards for plane in card.planes), attrgetter("name")),
            measurements=_first_of_each((one for card in cards for one in card.measurements), attrgetter("name")),
        )

    @property
    def labels(self) -> tuple[str, ...]:
        """Landmark labels in order."""
        return tuple(landmark.label for landmark in self.landmarks)


AnyCard = ModelCard | JointCard


def _first_of_each(items: Iterable[Item], key: Callable[[Item], Hashable]) -> tuple[Item, ...]:
    firsts: dict[Hashable, Item] = {}
    for item in items:
        firsts.setdefault(key(item), item)
    return tuple(firsts.values())


def _check_dimensions(cards: Sequence[ModelCard]) -> None:
    first = cards[0]
    for card in cards:
        if card.dimension != first.dimension:
            message = (
                f"The model {card.name} works on {card.dimension}D images, but {first.name} on {first.dimension}D "
                "images: a consensus needs models for the same kind."
            )
            raise LandmarkDetectionError(message)


def _check_hashes(cards: Sequence[ModelCard]) -> None:
    """A model that votes twice would outvote the others."""
    seen: dict[str, str] = {}
    for card in cards:
        if card.weights_sha256 in seen:
            twin = seen[card.weights_sha256]
            names = card.name if card.name == twin else f"{twin} and {card.name}"
            message = f"The same weights are given twice ({names}): a consensus needs different models."
            raise LandmarkDetectionError(message)
        seen[card.weights_sha256] = card.name


def _check_landmarks(cards: Sequence[ModelCard]) -> None:
    counts = Counter(chain.from_iterable(card.labels for card in cards))
    for card in reversed(cards):
        others = [other.name for other in cards if other is not card]
        if others and all(counts[label] == 1 for label in card.labels):
            message = (
                f"The model {card.name} ({card.anatomy}) shares no landmark with {', '.join(others)}: "
                "a consensus needs models of the same landmarks."
            )
            raise LandmarkDetectionError(message)
