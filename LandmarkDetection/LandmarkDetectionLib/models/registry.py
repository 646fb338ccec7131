"""The models a user can name: those shipped with the package, and those imported into the user's own folder."""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Literal

from ..errors import LandmarkDetectionError
from .bundle import load_bundle, load_card, parse_bundle
from .bundle_files import read_bundle_files, remove_bundle_folder, write_bundle_files
from .card import ModelCard
from .record import parse_record

MODELS_FOLDER_VARIABLE = "LANDMARK_DETECTION_MODELS"
"""Environment variable that names the folder of imported models."""


@dataclass(frozen=True)
class BundledModel:
    """A line of registry.json: a shipped model.

    Attributes:
        folder: relative to registry.json.
        weights_sha256: of the weights that belong to this version of the package.
        sample: image to try the model on, relative to the package's Resources; None if none is shipped.
    """

    name: str
    folder: str
    weights_sha256: str
    sample: str | None


@dataclass(frozen=True)
class Registry:
    """The contents of registry.json."""

    format_version: Literal[1]
    models: tuple[BundledModel, ...]


def resources_folder() -> Path:
    """The package's Resources."""
    return Path(str(files("LandmarkDetectionLib"))) / "Resources"


def user_models_folder() -> Path:
    """Where imported models are kept: $LANDMARK_DETECTION_MODELS, or a folder in the user's home."""
    chosen = os.environ.get(MODELS_FOLDER_VARIABLE)
    return Path(chosen).expanduser() if chosen else Path.home() / ".landmark-detection" / "models"


def list_models() -> list[ModelCard]:
    """Cards of the shipped models, then of the imported ones; `broken_models` says what is left out."""
    return [card for card in _read_cards() if isinstance(card, ModelCard)]


def broken_models() -> list[str]:
    """One sentence for each model that cannot be listed."""
    return [str(problem) for problem in _read_cards() if isinstance(problem, LandmarkDetectionError)]


def find_model(name_or_path: str | Path) -> Path:
    """The folder or zip of a model, by its name or its path.

    Raises:
        LandmarkDetectionError: if there is none; the message lists the names that exist and the closest one.
    """
    text = str(name_or_path)
    folders = _all_folders()
    if text in folders:
        return folders[text]
    if Path(text).exists():
        return Path(text)
    if len(Path(text).parts) > 1:
        message = f"{text} does not exist; give the folder or zip of a model bundle."
        raise LandmarkDetectionError(message)
    raise _unknown_model(text, "a model's name or a bundle's path", folders)


def import_model(file: str | Path) -> ModelCard:
    """Check the bundle in a folder or zip and copy it into the user's folder, replacing an imported one of that name.

    Raises:
        LandmarkDetectionError: if it is not a whole and valid bundle, or a shipped model has its name.
    """
    file = Path(file)
    contents = read_bundle_files(file)
    card = parse_bundle(contents, file).card
    if card.name in _bundled_folders():
        message = f'{file} cannot be imported, because a shipped model is named "{card.name}"; change its name.'
        raise LandmarkDetectionError(message)
    write_bundle_files(user_models_folder() / card.name, contents)
    return card


def replaced_model(file: str | Path) -> ModelCard | None:
    """Card of the imported model that importing a bundle would replace by other weights; None if there is none.

    Raises:
        LandmarkDetectionError: if the bundle's card is missing or not valid.
    """
    new = load_card(file)
    present = _imported_folders().get(new.name)
    old = None if present is None else _read_card(new.name, present)
    return old if isinstance(old, ModelCard) and old.weights_sha256 != new.weights_sha256 else None


def verify_model(name_or_path: str | Path) -> ModelCard:
    """Read a model whole and check its weights against its card and, if it is shipped, against the registry.

    Raises:
        LandmarkDetectionError: if anything is missing, damaged or altered.
    """
    bundle = load_bundle(find_model(name_or_path))
    shipped = _bundled_models().get(str(name_or_path))
    if shipped is not None and shipped.weights_sha256 != bundle.weights_sha256:
        message = f'The weights of "{shipped.name}" are not those that were shipped; reinstall the extension.'
        raise LandmarkDetectionError(message)
    return bundle.card


def remove_model(name: str) -> None:
    """Delete an imported model.

    Raises:
        LandmarkDetectionError: if the model is shipped or unknown, or cannot be deleted.
    """
    if name in _bundled_folders():
        message = f'"{name}" is shipped with the extension and cannot be removed; only imported models can.'
        raise LandmarkDetectionError(message)
    imported = _imported_folders()
    if name not in imported:
        raise _unknown_model(name, "an imported model", imported)
    remove_bundle_folder(imported[name])


def is_shipped(name: str) -> bool:
    """Whether a model comes with the package; imported ones can be removed."""
    return name in _bundled_folders()


def sample_image(name: str) -> Path | None:
    """An image to try a model on, if one is shipped with it."""
    shipped = _bundled_models().get(name)
    return None if shipped is None or shipped.sample is None else resources_folder() / shipped.sample


def sample_thumbnail(name: str) -> Path | None:
    """A small picture of the image that `sample_image` gives."""
    sample = sample_image(name)
    return None if sample is None else sample.with_name(f"{name}.png")


def _bundled_models() -> dict[str, BundledModel]:
    file = resources_folder() / "Models" / "registry.json"
    registry = parse_record(Registry, json.loads(file.read_text(encoding="utf-8")), file.name)
    return {model.name: model for model in registry.models}


def _bundled_folders() -> dict[str, Path]:
    return {name: resources_folder() / "Models" / model.folder for name, model in _bundled_models().items()}


def _imported_folders() -> dict[str, Path]:
    """By name; hidden folders are those of an import that was interrupted."""
    entries = sorted(user_models_folder().glob("[!.]*"))
    return {entry.name: entry for entry in entries if entry.is_dir()}


def _all_folders() -> dict[str, Path]:
    """By name, the shipped first; a shipped model hides an imported one of its name."""
    shipped = _bundled_folders()
    return shipped | {name: folder for name, folder in _imported_folders().items() if name not in shipped}


def _read_cards() -> list[ModelCard | LandmarkDetectionError]:
    """The card of every model, or why it cannot be used."""
    return [_read_card(name, folder) for name, folder in _all_folders().items()]


def _read_card(name: str, folder: Path) -> ModelCard | LandmarkDetectionError:
    try:
        card = load_card(folder)
    except LandmarkDetectionError as error:
        return error
    if card.name == name:
        return card
    return LandmarkDetectionError(f'{folder} holds the model "{card.name}"; give the folder that name.')


def _unknown_model(text: str, role: str, known: Iterable[str]) -> LandmarkDetectionError:
    names = sorted(known)
    close = difflib.get_close_matches(text, names, n=1)
    hint = f' (did you mean "{close[0]}"?)' if close else ""
    return LandmarkDetectionError(f'"{text}" is not {role}{hint}; choose one of: {", ".join(names) or "none there"}.')
