"""The detectors, one file a method: Volume in, Detection out."""
