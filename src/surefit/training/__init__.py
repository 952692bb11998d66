"""Optimizer, loop, early stopping and checkpoints."""
