"""Where a training keeps its files: in a folder beside the model's bundle, which holds those of its folds too."""

from __future__ import annotations

import shutil
from pathlib import Path

from ..errors import LandmarkDetectionError
from ..models.bundle_files import CARD_FILE
from .lock import LOCK_FILE
from .log_files import CHECKPOINT_FILE


def work_folder(bundle: Path) -> Path:
    """For the checkpoints and logs of the training that makes a bundle."""
    return Path(f"{bundle}.training")


def fold_bundle(folder: Path, number: int) -> Path:
    """For the model of a fold, counted from 1, in the work folder of a training."""
    return folder / f"fold-{number}"


def fold_files(folder: Path) -> list[Path]:
    """All that folds have left in the work folder of a training: their bundles, and what lies beside these."""
    return list(folder.glob("fold-*"))


def forget_training(folder: Path) -> None:
    """Remove all that a training has left in its work folder but the lock of the one that begins.

    Raises:
        LandmarkDetectionError: if that is not allowed.
    """
    try:
        for left in folder.iterdir():
            if left.is_dir():
                shutil.rmtree(left)
            elif left.name != LOCK_FILE:
                left.unlink()
    except OSError as error:
        message = f"{folder} cannot be emptied ({error.strerror or error}); choose another name."
        raise LandmarkDetectionError(message) from error


def is_interrupted(bundle: Path) -> bool:
    """Whether a training that makes a bundle, or one of its folds, stopped before its end: no bundle is as new."""
    kept = [file.stat().st_mtime for file in work_folder(bundle).rglob(CHECKPOINT_FILE) if file.is_file()]
    card = bundle / CARD_FILE
    return bool(kept) and (not card.exists() or card.stat().st_mtime < max(kept))
