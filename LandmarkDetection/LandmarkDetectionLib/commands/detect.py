"""landmark-detection detect: landmarks in an image, a folder of images or a dataset folder."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..errors import LandmarkDetectionError
from .arguments import add_device_argument, key_and_value, seed, spacing_mm
from .output import add_json_argument
from .run_report import RunReport


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command and its arguments."""
    text = "find landmarks in an image or a folder of images"
    parser = commands.add_parser("detect", help=text, description=text)
    models = "see: models list; give several for their consensus"
    parser.add_argument("--model", metavar="NAME|FOLDER|ZIP", action="append", required=True, help=models)
    parser.add_argument("--input", metavar="FILE|FOLDER", type=Path, required=True, help="image, folder or dataset")
    parser.add_argument("--output", metavar="FOLDER", type=Path, required=True, help="for the results")
    parser.add_argument("--spacing", metavar="MM[,MM]", type=spacing_mm, help="pixel size of pictures without one")
    parser.add_argument("--planes", action="store_true", help="write the standard planes and the images on them")
    parser.add_argument("--resume", action="store_true", help="keep what an earlier run has done with the same models")
    parser.add_argument(
        "--option",
        metavar="[MODEL:]KEY=VALUE",
        type=key_and_value,
        action="append",
        default=[],
        help="of the model's method (models show lists them); where there are several models, of all or of the one "
        "that is named",
    )
    add_device_argument(parser)
    parser.add_argument("--seed", metavar="N", type=seed, default=0, help="of the random starting points (default: 0)")
    add_json_argument(parser)
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Detect, and print what was found."""
    from ..batch import DetectionRun
    from ..detectors.registry import load_consensus
    from ..inputs import check_output_is_apart, find_cases
    from ..models.bundle import load_bundle
    from ..models.registry import find_model

    bundles = [load_bundle(find_model(model)) for model in arguments.model]
    options = _options_of([bundle.card.name for bundle in bundles], arguments.option)
    detector = load_consensus(bundles, arguments.device, options)
    cases = find_cases(arguments.input, arguments.spacing)
    check_output_is_apart(arguments.input, arguments.output)
    with (
        DetectionRun(
            arguments.output, with_planes=arguments.planes, resume=arguments.resume, seed=arguments.seed
        ) as detection_run,
        RunReport(len(cases), in_full=arguments.input.is_file(), as_json=arguments.json) as report,
    ):
        for case in cases:
            report.tell(detection_run.process(case, detector, report.progress))
    return report.conclude(detection_run)


def _options_of(names: Sequence[str], given: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    """For each model its options: those that name it before a colon, and those that name none."""
    options: list[dict[str, str]] = [{} for _ in names]
    for key, value in given:
        model, colon, own_key = key.rpartition(":")
        if colon and model not in names:
            message = (
                f'--option {key}={value}: there is no model "{model}" in this call; name one of: {", ".join(names)}.'
            )
            raise LandmarkDetectionError(message)
        for name, of_this_one in zip(names, options, strict=True):
            if model in ("", name):
                of_this_one[own_key] = value
    return options
