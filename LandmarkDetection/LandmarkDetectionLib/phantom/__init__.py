"""Simulated 3D ultrasound of the fetal head, with exact landmarks.

It exists because no open 3D fetal ultrasound with landmarks exists: the volumes of the PIN paper (Li 2018) are private.
A phantom has the paper's ten landmarks, grid (324 x 207 x 279 voxels of 0.5 mm) and planes: the transventricular plane
holds every landmark but the cerebellar ones, the transcerebellar plane passes through these and the CSP.

Sizes at 20 to 24 weeks follow published charts, rounded to a line in gestational age plus variation between fetuses:
biparietal and occipitofrontal diameter: Chitty 1994, Snijders & Nicolaides 1994, INTERGROWTH-21st (Papageorghiou
2014); transcerebellar diameter: Goldstein 1987, Hill 1990; atrial width 5 to 8 mm: Cardoza 1988; cavum septi pellucidi
3 to 5 mm wide and 8 to 11 mm long: Jou 1998, Falco 2000. Rotations are uniform in plus or minus 20 degrees about the
right, anterior and superior axes, shifts uniform in plus or minus 15 mm along each. The probe looks from the left, so
the right ventricle is in the far field, where it is seen.

The images are simulated and show no patient: a detector trained on them is for demonstration and tests.
"""

from __future__ import annotations

from .anatomy import MAXIMUM_ROTATION_DEG, MAXIMUM_SHIFT_MM, PHANTOM_LANDMARKS
from .dataset import write_phantom_dataset
from .simulation import Phantom, generate_phantom, phantom_landmarks

__all__ = [
    "MAXIMUM_ROTATION_DEG",
    "MAXIMUM_SHIFT_MM",
    "PHANTOM_LANDMARKS",
    "Phantom",
    "generate_phantom",
    "phantom_landmarks",
    "write_phantom_dataset",
]
