"""Planes and measurements of the anatomies we train models for: each training puts its own into the model card."""

from __future__ import annotations

from .measurements import MeasurementDefinition
from .planes import PlaneDefinition

_MIDLINE = ("centerHead", "frontHead", "backHead", "CSP")

FETAL_HEAD_PLANES = (
    PlaneDefinition(
        name="TV",
        description="Transventricular plane of the fetal head: lateral ventricles and cavum septi pellucidi.",
        fit=tuple((label,) for label in (*_MIDLINE, "rightHead", "leftHead", "rightVentInner", "rightVentOuter")),
        normal_towards="S",
        axis=tuple((label,) for label in _MIDLINE),
        x_towards="P",
        origin=(("centerHead",),),
        size_mm=(162.0, 103.5),
    ),
    PlaneDefinition(
        name="TC",
        description="Transcerebellar plane of the fetal head: cerebellum and cavum septi pellucidi.",
        fit=(("CSP",), ("leftCerebellar",), ("rightCerebellar",)),
        normal_towards="order",
        axis=(("CSP",), ("rightCerebellar", "leftCerebellar")),
        x_towards="order",
        origin=(("rightCerebellar", "leftCerebellar"), ("CSP",)),
        size_mm=(162.0, 103.5),
    ),
)
"""TV and TC of PIN (Li et al., MICCAI 2018), as its authors compute them on 324 x 207 pixels of 0.5 mm.

Their frame grows from front to back (x), left to right (y) and base to top (z). That is P, R, S in anatomical
directions: right-handed, as RAS is, so their cross products and signs hold here with x read as P and z as S. The
normal of TC keeps the sign of its landmarks' order: exchange left and right, and it points down.
"""

FETAL_HEAD_MEASUREMENTS = (
    MeasurementDefinition("BPD", "Biparietal diameter", "distance", ("rightHead", "leftHead"), "mm"),
    MeasurementDefinition("OFD", "Occipitofrontal diameter", "distance", ("frontHead", "backHead"), "mm"),
    MeasurementDefinition(
        "HC",
        "Head circumference, of the ellipse with the diameters OFD and BPD",
        "ellipse_circumference",
        ("frontHead", "backHead", "rightHead", "leftHead"),
        "mm",
    ),
    MeasurementDefinition("TCD", "Transcerebellar diameter", "distance", ("rightCerebellar", "leftCerebellar"), "mm"),
)
"""Biometry of a fetal head in three dimensions."""

FETAL_HEAD_2D_MEASUREMENTS = (
    MeasurementDefinition(
        "BPD", "Biparietal diameter, the head ellipse's short axis", "distance", ("BPD1", "BPD2"), "mm"
    ),
    MeasurementDefinition(
        "OFD", "Occipitofrontal diameter, the head ellipse's long axis", "distance", ("OFD1", "OFD2"), "mm"
    ),
    MeasurementDefinition(
        "HC",
        "Head circumference, of the head ellipse",
        "ellipse_circumference",
        ("OFD1", "OFD2", "BPD1", "BPD2"),
        "mm",
    ),
)
"""Biometry of a fetal head in a picture of the standard plane."""


def _pair(structure: str) -> tuple[str, str]:
    return f"Left {structure}", f"Right {structure}"


BRAIN_PLANES = (
    PlaneDefinition(
        name="Mid-sagittal",
        description="Plane between the hemispheres, through midline structures and the midpoints of paired ones.",
        fit=(
            *(_pair(s) for s in ("thalamus", "caudate", "putamen", "pallidum", "hippocampus", "amygdala", "accumbens")),
            ("Third ventricle",),
            ("Fourth ventricle",),
        ),
        normal_towards="R",
        axis=(_pair("caudate"), _pair("thalamus")),
        x_towards="P",
        origin=(_pair("thalamus"),),
        size_mm=(220.0, 220.0),
    ),
    PlaneDefinition(
        name="Axial",
        description="Axial plane through the centres of the caudate nuclei and the thalami.",
        fit=tuple((f"{side} {structure}",) for side in ("Left", "Right") for structure in ("caudate", "thalamus")),
        normal_towards="S",
        axis=(("Right caudate", "Right thalamus"), ("Left caudate", "Left thalamus")),
        x_towards="L",
        origin=(_pair("thalamus"), _pair("caudate")),
        size_mm=(220.0, 220.0),
    ),
)
"""Pictures in the radiological convention: the face to the left, or the patient's right to the left."""

BRAIN_MEASUREMENTS = tuple(
    MeasurementDefinition(
        f"{structure.capitalize()} distance",
        f"Distance between the centres of the left and the right {structure}",
        "distance",
        _pair(structure),
        "mm",
    )
    for structure in ("thalamus", "caudate", "hippocampus")
)

CEPHALOGRAM_MEASUREMENTS = (
    MeasurementDefinition(
        "SNA", "Angle of the maxilla to the anterior cranial base", "angle", ("Sella", "Nasion", "Subspinale"), "deg"
    ),
    MeasurementDefinition(
        "SNB", "Angle of the mandible to the anterior cranial base", "angle", ("Sella", "Nasion", "Supramentale"), "deg"
    ),
    MeasurementDefinition(
        "ANB",
        "SNA less SNB: how far the maxilla lies before the mandible",
        "angle_difference",
        ("Sella", "Nasion", "Subspinale", "Supramentale"),
        "deg",
    ),
    MeasurementDefinition(
        "SN-MP",
        "Angle between the anterior cranial base and the mandibular plane (gonion to menton)",
        "angle",
        ("Sella", "Nasion", "Gonion", "Menton"),
        "deg",
    ),
    MeasurementDefinition(
        "FMA",
        "Angle between the Frankfort horizontal (porion to orbitale) and the mandibular plane",
        "angle",
        ("Porion", "Orbitale", "Gonion", "Menton"),
        "deg",
    ),
    MeasurementDefinition(
        "PP-MP",
        "Angle between the palatal plane (posterior to anterior nasal spine) and the mandibular plane",
        "angle",
        ("Posterior nasal spine", "Anterior nasal spine", "Gonion", "Menton"),
        "deg",
    ),
    MeasurementDefinition("S-N", "Length of the anterior cranial base", "distance", ("Sella", "Nasion"), "mm"),
    MeasurementDefinition("N-Me", "Anterior facial height", "distance", ("Nasion", "Menton"), "mm"),
    MeasurementDefinition("S-Go", "Posterior facial height", "distance", ("Sella", "Gonion"), "mm"),
)
"""What orthodontists measure first; lengths are those in the picture, enlarged as the X-rays enlarged them."""
