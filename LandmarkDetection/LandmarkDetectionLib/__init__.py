"""The backend of the LandmarkDetection extension: detectors, their training and their evaluation, without any Qt."""

__version__ = "0.1.0"
