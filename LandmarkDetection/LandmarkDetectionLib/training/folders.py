"""Where a training keeps its files: in a folder beside the model's bundle, which holds those of its folds too."""

from __future__ import annotations

from pathlib import Path


def work_folder(bundle: Path) -> Path:
    """For the checkpoints and logs of the training that makes a bundle."""
    return Path(f"{bundle}.training")


def fold_bundle(folder: Path, number: int) -> Path:
    """For the model of a fold, counted from 1, in the work folder of a training."""
    return folder / f"fold-{number}"


def fold_files(folder: Path) -> list[Path]:
    """All that folds have left in the work folder of a training: their bundles, and what lies beside these."""
    return list(folder.glob("fold-*"))
