"""Tasks: what to learn. A Task value ties model, codec, loss and metrics together."""

from posejax.tasks.base import Aux, Task

__all__ = ['Aux', 'Task']
