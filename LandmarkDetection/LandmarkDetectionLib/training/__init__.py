"""Training: one recipe a method on one shared loop."""
