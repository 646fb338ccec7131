"""landmark-detection train: a dataset in, a model bundle out."""

from __future__ import annotations

import argparse
import sys
from contextlib import redirect_stdout
from pathlib import Path

from ..training.presets import PRESETS
from ..training.registry import METHODS
from .arguments import add_device_argument
from .output import add_json_argument, print_json


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command and its arguments."""
    text = "train a model on a dataset"
    parser = commands.add_parser("train", help=text, description=text)
    parser.add_argument("--dataset", metavar="FOLDER|FILE", type=Path, required=True, help="folder, or packed file")
    parser.add_argument("--method", required=True, metavar="METHOD", help=", ".join(METHODS))
    parser.add_argument("--output", metavar="BUNDLE", type=Path, required=True, help="folder of the new model")
    times = (
        f"{name} {f'{minutes:g} minutes at most' if minutes else 'as published'}" for name, minutes in PRESETS.items()
    )
    preset = f"how long: {', '.join(times)} (default: standard)"
    parser.add_argument("--preset", choices=tuple(PRESETS), default="standard", help=preset)
    add_device_argument(parser)
    parser.add_argument("--config", metavar="FILE.json", type=Path, help="settings that replace those of the preset")
    interrupted = parser.add_mutually_exclusive_group()
    interrupted.add_argument("--resume", action="store_true", help="go on where an interrupted training stopped")
    interrupted.add_argument("--anew", action="store_true", help="forget what an interrupted training has reached")
    parser.add_argument("--init-from", metavar="BUNDLE", help="start from the weights of this model")
    folds = "calibrate the model by cross-validation, which takes K more trainings; for example 5"
    parser.add_argument("--folds", metavar="K", type=int, help=folds)
    add_json_argument(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Train, and say where the bundle is."""
    from ..models.registry import find_model
    from ..training.run import train

    with redirect_stdout(sys.stderr):  # lightning shows its progress on stdout, which is for results
        card = train(
            arguments.dataset,
            arguments.method,
            arguments.output,
            preset=arguments.preset,
            device=arguments.device,
            config=arguments.config,
            resume=arguments.resume,
            anew=arguments.anew,
            init_from=None if arguments.init_from is None else find_model(arguments.init_from),
            folds=arguments.folds,
        )
    if arguments.json:
        print_json(card.to_json())
    else:
        print(f"{card.name} is trained: {card.training.notes}\nUse it with: detect --model {arguments.output}")
    return 0
