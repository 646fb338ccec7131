"""Model bundles: card, weights, registry and checksums."""
