"""What the training of brain-t1-afids starts from: a Loc-Net that knows other landmarks of the same heads.

    python Testing/benchmarks/afids_start.py BRAIN_T1 DATASET OUTPUT

Writes a bundle for a dataset of `afids_truth.py` with all layers of BRAIN_T1, at the scales of the recipe, but the last
ones, which have a channel for every landmark and begin anew.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from pathlib import Path

import numpy as np
from torch import Tensor

from LandmarkDetectionLib.detectors.locnet_scales import MultiscaleLocNetSettings
from LandmarkDetectionLib.files.dataset import Dataset
from LandmarkDetectionLib.geometry import FloatArray, rotation_matrix
from LandmarkDetectionLib.models.bundle import ModelBundle, load_bundle, save_bundle
from LandmarkDetectionLib.models.card import ModelCard
from LandmarkDetectionLib.models.record import parse_record
from LandmarkDetectionLib.networks.locnet import initialise_locnet
from LandmarkDetectionLib.shape_model import ShapeModel
from LandmarkDetectionLib.training.cases import CaseReader
from LandmarkDetectionLib.training.recipe import load_recipe
from LandmarkDetectionLib.training.run import draft_card, load_method

METHOD = "multiscale-locnet"
RECIPE = Path(__file__).with_name("recipes") / "brain-t1-afids.json"
_NEW = "output."
"""In the names of the tensors that have a channel for every landmark."""
_TURNS = 20
_EXPLAINED_VARIANCE = 0.999


def first_card(dataset: Dataset, known: ModelCard) -> ModelCard:
    """The card of the start: what it was trained on is what the known model was; its shape model is new."""
    cases = CaseReader(dataset).split("train")
    recipe = load_recipe(load_method(METHOD), "standard", RECIPE)
    recipe = replace(recipe, network={**known.network, **recipe.network})
    card = draft_card(dataset, cases, recipe, method=METHOD, name="brain-t1-afids", preset="standard")
    shapes_mm = turned_shapes([case.landmarks.to_array(card.labels) for case in cases], card.rotation_range_deg)
    return replace(card, shape_model=ShapeModel.fit(shapes_mm, _EXPLAINED_VARIANCE), training=known.training)


def turned_shapes(shapes_mm: Sequence[FloatArray], most_deg: float) -> FloatArray:
    """Shapes (m, n, 3) about their centroids, each turned so many times at random about all axes."""
    generator = np.random.default_rng(0)
    turned = []
    for shape_mm in shapes_mm:
        for angles_deg in generator.uniform(-most_deg, most_deg, (_TURNS, 3)):
            rotation = reduce(np.matmul, map(rotation_matrix, np.eye(3), angles_deg))
            turned.append((shape_mm - shape_mm.mean(0)) @ rotation.T)
    return np.array(turned)


def first_weights(known: ModelBundle, card: ModelCard) -> dict[str, Tensor]:
    """The known model's weights at a card's scales, but those of the last layers new, for its landmarks."""
    settings, of_known = (
        parse_record(MultiscaleLocNetSettings, one.network, "network settings") for one in (card, known.card)
    )
    weights = {}
    for scale, network in enumerate(settings.networks(card.dimension, len(card.landmarks))):
        initialise_locnet(network, settings.crop_size**card.dimension)
        of_scale = of_known.pooling.index(settings.pooling[scale])
        for name, value in network.state_dict().items():
            is_new = name.startswith(_NEW)
            weights[f"{scale}.{name}"] = value if is_new else known.tensors[f"{of_scale}.{name}"]
    return weights


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and write the bundle."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("known", type=Path, help="bundle of a multi-scale Loc-Net")
    parser.add_argument("dataset", type=Path)
    parser.add_argument("output", type=Path)
    asked = parser.parse_args(arguments)
    known = load_bundle(asked.known)
    card = first_card(Dataset.load(asked.dataset), known.card)
    save_bundle(asked.output, card, first_weights(known, card))


if __name__ == "__main__":
    main()
