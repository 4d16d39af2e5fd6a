"""Checkpoints of other projects: read them (`load`)."""

from posejax.weights.load import load

__all__ = ['load']
