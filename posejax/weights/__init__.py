"""Checkpoints of other projects: read them (`load`) and turn them into variables (`convert`)."""

from posejax.weights import convert
from posejax.weights.convert import Converted
from posejax.weights.families.identify import Checkpoint, Inputs
from posejax.weights.load import load

__all__ = ['Checkpoint', 'Converted', 'Inputs', 'convert', 'load']
