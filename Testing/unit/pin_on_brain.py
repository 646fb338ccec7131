"""A row of results.csv as it might be."""

from __future__ import annotations

from training_results import TrainingResult, sdr_text

PIN_ON_BRAIN = TrainingResult(
    method="pin",
    dataset="brain",
    split="test",
    recipe="quick",
    seed=0,
    minutes=3.9,
    cores=2,
    cases=20,
    points=400,
    mre_mm=1.456,
    sd_mm=0.8,
    median_mm=1.26,
    sdr=sdr_text({"2.0": 0.82, "4.0": 0.9825}),
    mean_position_mm=17.6,
    moved_mean_shape_mm=2.59,
    seconds=0.13,
    peak_mb=446,
    weights_mb=9.5,
    date="2026-01-31",
    commit="abcdef1+",
    steps=1200,
)
