"""The neural networks: torch modules only, without input/output, geometry or training."""
