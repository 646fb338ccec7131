"""Which file trains which method."""

from __future__ import annotations

METHODS = {
    "pin": "pin_training:PIN",
    "pin-single": "pin_training:PIN_SINGLE",
    "cascade": "cascade_training:CASCADE",
    "multiscale-locnet": "multiscale_locnet_training:MULTISCALE_LOCNET",
    "global-to-local": "global_to_local_training:GLOBAL_TO_LOCAL",
    "locnet": "locnet_training:LOCNET",
    "heatmap-unet": "heatmap_training:HEATMAP_UNET",
    "scn": "heatmap_training:SCN",
    "mean-position": "mean_position_training:MEAN_POSITION",
    "atlas": "atlas_training:ATLAS",
    "drl": "drl_training:DRL",
}
"""Method -> module in this package and its TrainingMethod."""

COMPARATORS = ("locnet", "heatmap-unet", "scn", "drl", "atlas", "mean-position")
"""Those that are there to be compared with: the command line trains them, the panel does not offer them."""
