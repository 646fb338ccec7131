"""The training loop every method shares: checkpoints by validation error, resume, logs and a time limit."""

from __future__ import annotations

import logging
import warnings
from datetime import timedelta
from pathlib import Path

import lightning
import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint, Timer, TQDMProgressBar
from torch.utils.data import DataLoader, IterableDataset

from ..detectors.precision import has_bfloat16
from ..errors import LandmarkDetectionError
from ..progress import is_watched
from .log_files import CHECKPOINT_FILE, LOG_FILE, TrainingPlan, write_plan
from .metrics_log import MetricsLog
from .ranks import Ranks
from .recipe import Optimisation

MONITORED = "validation_error_mm"

_log = logging.getLogger(__name__)


class Loop:
    """One training run in a folder of its own.

    Args:
        folder: for checkpoints and logs.
        optimisation: length and validation interval.
        device: to train on.
        ranks: the processes that take part, each with its own loop.
    """

    def __init__(self, folder: Path, optimisation: Optimisation, device: torch.device, ranks: Ranks) -> None:
        self._folder = folder
        self._optimisation = optimisation
        self._device = device
        self._ranks = ranks
        self._timer = Timer(duration=timedelta(minutes=optimisation.minutes), interval="step", verbose=False)

    def elapsed_share(self) -> float:
        """Share of the allowed wall time that has passed, earlier parts of a resumed run included.

        The same in all processes, for the learning rate follows it.
        """
        return self._ranks.agreed(lambda: self._elapsed_minutes() / self._optimisation.minutes)

    def _elapsed_minutes(self) -> float:
        return self._timer.time_elapsed("train") / 60.0

    def fit(self, module: lightning.LightningModule, samples: IterableDataset, *, resume: bool) -> float:
        """Train; leaves in the module the weights with the smallest validation error and returns that error.

        Raises:
            LandmarkDetectionError: if the training ended before its first validation, or the one to go on with was that
                of another network.
        """
        last = self._folder / CHECKPOINT_FILE
        if not resume and self._ranks.is_first:
            # Else a later resume could go on with what another training left here.
            last.unlink(missing_ok=True)
        if self._ranks.is_first:
            write_plan(self._folder, TrainingPlan(self._optimisation.steps, self._optimisation.minutes))
        from_step = _step_to_resume_at(module, last) if resume and last.exists() else 0
        best = ModelCheckpoint(self._folder, filename="best", monitor=MONITORED, enable_version_counter=False)
        trainer = self._trainer(best, from_step)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*does not have many workers.*")
            warnings.filterwarnings("ignore", message=".*exists and is not empty.*")
            warnings.filterwarnings("ignore", message=".*LeafSpec.*")
            # All processes have agreed on the validation error, and the loss is the first one's.
            warnings.filterwarnings("ignore", message=".*sync_dist=True.*")
            trainer.fit(
                module,
                DataLoader(samples, batch_size=None),
                DataLoader([0]),
                ckpt_path=last if from_step else None,
                weights_only=True,
            )
        if trainer.global_step < self._optimisation.steps and self._ranks.is_first:
            _log.warning(
                "The time limit (%g min) ended the training after %d of %d steps.",
                self._optimisation.minutes,
                trainer.global_step,
                self._optimisation.steps,
            )
        return self._restore_best(module, best)

    def _trainer(self, best: ModelCheckpoint, from_step: int) -> lightning.Trainer:
        logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
        chosen = self._optimisation
        every = min(chosen.validate_every, chosen.steps * chosen.accumulated_batches)
        # After the validation, so that it knows of the best one so far.
        last = ModelCheckpoint(
            self._folder, filename="last", save_on_train_epoch_end=False, enable_version_counter=False
        )
        callbacks = [best, last, self._timer]
        if is_watched():
            callbacks.append(TQDMProgressBar(refresh_rate=20))
        if chosen.patience:
            callbacks.append(EarlyStopping(MONITORED, patience=chosen.patience))
        return lightning.Trainer(
            accelerator={"cuda": "gpu"}.get(self._device.type, self._device.type),
            devices=self._ranks.count,
            strategy=self._ranks.strategy(),
            use_distributed_sampler=False,
            max_steps=chosen.steps,
            precision="bf16-mixed" if has_bfloat16(self._device) else "32-true",
            val_check_interval=every,
            check_val_every_n_epoch=None,
            num_sanity_val_steps=0,
            gradient_clip_val=chosen.gradient_clip or None,
            log_every_n_steps=min(50, every),
            accumulate_grad_batches=chosen.accumulated_batches,
            callbacks=callbacks,
            logger=MetricsLog(self._folder / LOG_FILE, from_step, self._elapsed_minutes),
            enable_model_summary=False,
            enable_progress_bar=is_watched(),
        )

    def _restore_best(self, module: lightning.LightningModule, checkpoints: ModelCheckpoint) -> float:
        if not checkpoints.best_model_path:
            message = f"The training in {self._folder} ended before its first validation; allow it more time or steps."
            raise LandmarkDetectionError(message)
        best = torch.load(checkpoints.best_model_path, weights_only=True, map_location="cpu")
        module.load_state_dict(best["state_dict"])
        return float(checkpoints.best_model_score)


def _step_to_resume_at(module: lightning.LightningModule, checkpoint: Path) -> int:
    """The number of steps a checkpoint has behind it."""
    kept = torch.load(checkpoint, weights_only=True, map_location="cpu")
    shapes = {name: value.shape for name, value in kept["state_dict"].items()}
    if shapes != {name: value.shape for name, value in module.state_dict().items()}:
        message = f"{checkpoint} is of another network or dataset; train without --resume, or choose another output."
        raise LandmarkDetectionError(message)
    return kept["global_step"]
