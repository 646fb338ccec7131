"""Writes a page about every bundled model from its card: `python Testing/model_pages.py`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from LandmarkDetectionLib.measurements import MeasurementDefinition
from LandmarkDetectionLib.models.calibration import Calibration
from LandmarkDetectionLib.models.card import Accuracy, ModelCard
from LandmarkDetectionLib.models.registry import is_shipped, list_models, sample_image
from LandmarkDetectionLib.planes import PlaneDefinition, Point

PAGES = Path(__file__).resolve().parents[1] / "Resources" / "Models"

_KINDS = {
    "distance": "distance",
    "angle": "angle",
    "angle_difference": "difference of angles",
    "ellipse_circumference": "circumference of the ellipse",
}
_AXES = dict.fromkeys("RL", "from side to side") | dict.fromkeys("AP", "from front to back")
_AXES |= dict.fromkeys("SI", "from top to bottom")


def shipped_cards() -> list[ModelCard]:
    """Cards of the models that come with the extension."""
    return [card for card in list_models() if is_shipped(card.name)]


def page_of(card: ModelCard) -> str:
    """The page of a model, in Markdown."""
    parts = (
        f"# {card.name}",
        card.description,
        *_picture(card),
        f"**{card.not_a_medical_device}**",
        _table(("", ""), _facts(card)),
        "## How well it does",
        _accuracy_text(card),
        "## Limitations",
        card.limitations,
        *(("## Where it errs most", card.worst_cases) if card.worst_cases else ()),
        "## Landmarks",
        _table(("landmark", "where it is"), [(mark.label, mark.description) for mark in card.landmarks]),
        *_section("Standard planes", ("plane", "shows", "runs through"), map(_plane_row, card.planes)),
        *_section("Measurements", ("measurement", "means", "from"), map(_measurement_row, card.measurements)),
        "## Training",
        _training_text(card),
        "## Cite",
        card.citation,
        "---",
        "Written from the model's card by `python Testing/model_pages.py`; "
        f"`landmark-detection models show {card.name}` prints the card.",
    )
    return "\n\n".join(parts) + "\n"


def write_pages() -> None:
    """Write the page of every bundled model, and remove those of models that are gone."""
    for file in PAGES.glob("*.md"):
        file.unlink()
    for card in shipped_cards():
        (PAGES / f"{card.name}.md").write_text(page_of(card), encoding="utf-8")


def _picture(card: ModelCard) -> tuple[str, ...]:
    """A link to what `sample_pictures.py` draws."""
    if sample_image(card.name) is None:
        return ()
    return (f"![What {card.name} finds in the sample image that comes with it]({card.name}.png)",)


def _facts(card: ModelCard) -> list[tuple[str, str]]:
    facts = {
        "Finds": ", ".join(_counts(card)),
        "In": f"{card.anatomy}; {card.modality}",
        "Size of the images": _sizes_text(card),
        "Pose": f"up to {card.rotation_range_deg:g} degrees from the usual one",
        "Method": f"`{card.method}`",
        "Licence of the bundle": f"{card.licence} ({card.badge})" if card.badge else card.licence,
        "Version": card.version,
        "Weights, SHA-256": f"`{card.weights_sha256}`",
    }
    if card.resources is not None:
        needs = f"{card.resources.cpu_seconds:.1f} s on a processor, {card.resources.memory_mb:.0f} MB of memory"
        facts["One detection takes"] = needs
    return [(f"**{name}**", text) for name, text in facts.items()]


def _counts(card: ModelCard) -> list[str]:
    parts = {"landmark": card.landmarks, "standard plane": card.planes, "measurement": card.measurements}
    return [f"{len(found)} {noun}{'s' if len(found) > 1 else ''}" for noun, found in parts.items() if found]


def _sizes_text(card: ModelCard) -> str:
    """How large the images of the training were."""
    view = card.field_of_view_mm
    axes = ("across", "down") if card.dimension == 2 else map(_AXES.get, card.preprocessing.orientation)
    sizes = [(f"{low:.0f}", f"{high:.0f}") for low, high in zip(view.minimum, view.maximum, strict=True)]
    texts = [low if low == high else f"{low} to {high}" for low, high in sizes]
    return ", ".join(f"{text} mm {axis}" for text, axis in zip(texts, axes, strict=False))


def _accuracy_text(card: ModelCard) -> str:
    if not card.accuracy:
        return "It has not been measured."
    thresholds = sorted({threshold for accuracy in card.accuracy for threshold in accuracy.sdr}, key=float)
    headings = ("data", "cases", "mean error", "SD", "median", *(f"within {mm} mm" for mm in thresholds))
    table = _table(
        (*headings, "mean position, for comparison"),
        [_accuracy_row(accuracy, thresholds) for accuracy in card.accuracy],
    )
    return f"{table}\n\n{_calibration_text(card.calibration)}"


def _calibration_text(calibration: Calibration | None) -> str:
    if calibration is None or calibration.radius90_range_mm is None:
        return "Its uncertainty is the method's own guess: no cases were held out to calibrate it."
    low_mm, high_mm = calibration.radius90_range_mm
    return (
        f"Its uncertainty is calibrated on {calibration.cases} cases held out of training ({calibration.method}): "
        f"nine times in ten a landmark lay within {low_mm:.1f} to {high_mm:.1f} mm of the truth, "
        "depending on the landmark."
    )


def _accuracy_row(accuracy: Accuracy, thresholds: Sequence[str]) -> tuple[str, ...]:
    baseline_mm = accuracy.mean_position_mre_mm
    return (
        accuracy.measured_on,
        str(accuracy.cases),
        f"{accuracy.mre_mm:.2f} mm",
        f"{accuracy.sd_mm:.2f} mm",
        f"{accuracy.median_mm:.2f} mm",
        *(f"{accuracy.sdr[mm]:.1%}" if mm in accuracy.sdr else "" for mm in thresholds),
        "" if baseline_mm is None else f"{baseline_mm:.2f} mm",
    )


def _plane_row(plane: PlaneDefinition) -> tuple[str, ...]:
    return plane.name, plane.description, "; ".join(_point_text(point) for point in plane.fit)


def _point_text(point: Point) -> str:
    return point[0] if len(point) == 1 else f"middle of {' and '.join(point)}"


def _measurement_row(measurement: MeasurementDefinition) -> tuple[str, ...]:
    source = f"{_KINDS[measurement.kind]}: {', '.join(measurement.labels)} ({measurement.unit})"
    return measurement.name, measurement.description, source


def _training_text(card: ModelCard) -> str:
    training = card.training
    return (
        f"{training.cases} cases: {training.data.rstrip('.')}. Licence of the data: {training.licence}\n\n"
        f"Preset: {training.preset}. {training.notes}"
    )


def _section(title: str, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> tuple[str, ...]:
    rows = list(rows)
    return (f"## {title}", _table(headings, rows)) if rows else ()


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = (headings, ["---"] * len(headings), *rows)
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)


if __name__ == "__main__":
    write_pages()
