"""landmark-detection models list | show | import | verify | remove: the models at hand."""

from __future__ import annotations

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..models.bundle import load_card
from ..models.card import Accuracy, ModelCard
from ..models.registry import broken_models, find_model, import_model, list_models, remove_model, verify_model
from ..text_table import text_lines, text_table
from .output import add_json_argument, print_json, terminal_width


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command and its arguments."""
    text = "list, show, import, verify or remove models"
    parser = commands.add_parser("models", help=text, description=text)
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    for name, run, argument, text in (
        ("list", _list, None, "the models that detect can name"),
        ("show", _show, "model", "what a model finds, how well, and under which terms"),
        ("import", _import, "file", "check a bundle (folder or .zip) and keep it"),
        ("verify", _verify, "model", "check that a model's files are whole and unaltered"),
        ("remove", _remove, "name", "delete an imported model"),
    ):
        action = actions.add_parser(name, help=text, description=text)
        if argument is not None:
            action.add_argument(argument, metavar=argument.upper(), type=Path if argument == "file" else str)
        add_json_argument(action)
        action.set_defaults(run=run)


def _list(arguments: argparse.Namespace) -> int:
    cards = list_models()
    if arguments.json:
        print_json([_listed(card) for card in cards])
    else:
        headings = ("name", "method", "anatomy", "modality", "accuracy", "licence", "landmarks")
        print(text_table(headings, [_row(card) for card in cards], texts=6, width=terminal_width()))
    for problem in broken_models():
        print(f"landmark-detection: {problem}", file=sys.stderr)
    return 0


def _show(arguments: argparse.Namespace) -> int:
    card = load_card(find_model(arguments.model))
    if arguments.json:
        print_json(card.to_json())
    else:
        print(_described(card, terminal_width()))
    return 0


def _import(arguments: argparse.Namespace) -> int:
    from ..detectors.registry import detector_class

    detector_class(load_card(arguments.file))
    card = import_model(arguments.file)
    _confirm(arguments, card.name, f"{card.name} {card.version} is imported: detect --model {card.name}")
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    card = verify_model(arguments.model)
    _confirm(arguments, card.name, f"{card.name} {card.version} is whole: SHA-256 {card.weights_sha256}")
    return 0


def _remove(arguments: argparse.Namespace) -> int:
    remove_model(arguments.name)
    _confirm(arguments, arguments.name, f"{arguments.name} is removed.")
    return 0


def _confirm(arguments: argparse.Namespace, name: str, sentence: str) -> None:
    if arguments.json:
        print_json({"name": name, "message": sentence})
    else:
        print(sentence)


def _listed(card: ModelCard) -> dict[str, Any]:
    """The card without the arrays that only a detector reads."""
    arrays = ("network", "inference", "shape_model")
    return {name: value for name, value in card.to_json().items() if name not in arrays}


def _row(card: ModelCard) -> list[str]:
    accuracy = f"{card.accuracy[0].mre_mm:.2f} mm on {card.accuracy[0].dataset}" if card.accuracy else "not measured"
    return [card.name, card.method, card.anatomy, card.modality, accuracy, _terms(card), str(len(card.landmarks))]


def _terms(card: ModelCard) -> str:
    return f"{card.licence} ({card.badge})" if card.badge else card.licence


def _described(card: ModelCard, width: int | None) -> str:
    training = card.training
    facts = {
        "method": card.method,
        "finds": f"{len(card.landmarks)} landmarks in {card.anatomy}, {card.modality}, {card.dimension}D",
        "planes": ", ".join(plane.name for plane in card.planes),
        "measures": ", ".join(measurement.name for measurement in card.measurements),
        "accuracy": "; ".join(_accuracy(accuracy) for accuracy in card.accuracy) or "not measured",
        "calibrated": _calibration(card),
        "trained on": f"{training.cases} cases of {training.data} ({training.licence}). {training.notes}",
        "rotations": f"up to {card.rotation_range_deg:g} degrees from the usual pose",
        "limitations": card.limitations,
        "errs most": card.worst_cases,
        "licence": _terms(card),
        "citation": card.citation,
        "SHA-256": card.weights_sha256,
    }
    landmarks = [(landmark.label, landmark.side, landmark.description) for landmark in card.landmarks]
    return "\n".join(
        (
            text_lines(f"{card.name} {card.version}: {card.description}", width),
            text_lines(card.not_a_medical_device, width),
            "",
            *(text_lines(f"{name:<11}  {text}", width, hanging=13) for name, text in facts.items() if text),
            "",
            text_table(("landmark", "side", "description"), landmarks, texts=3, width=width),
            *_options(card, width),
        )
    )


def _options(card: ModelCard, width: int | None) -> list[str]:
    """A table of what --option may change; nothing where PyTorch, which the methods stand on, is not installed."""
    if find_spec("torch") is None:
        return []
    from ..detectors.options import options_of

    rows = [
        (option.name, option.value, option.meaning + f" One of: {', '.join(option.choices)}." * bool(option.choices))
        for option in options_of(card)
    ]
    return ["", text_table(("--option", "value", "meaning"), rows, texts=3, width=width)]


def _accuracy(accuracy: Accuracy) -> str:
    baseline = "" if accuracy.mean_position_mre_mm is None else f" (mean position {accuracy.mean_position_mre_mm:.2f})"
    return (
        f"{accuracy.measured_on}, {accuracy.cases} cases: mean error {accuracy.mre_mm:.2f} mm{baseline}, "
        f"median {accuracy.median_mm:.2f} mm, SD {accuracy.sd_mm:.2f} mm"
    )


def _calibration(card: ModelCard) -> str:
    calibration = card.calibration
    if calibration is None or calibration.radius90_range_mm is None:
        return "no: how far off a landmark may be is the method's own guess"
    low_mm, high_mm = calibration.radius90_range_mm
    return f"90 % within {low_mm:.1f} to {high_mm:.1f} mm, by landmark; {calibration.cases} cases, {calibration.method}"
