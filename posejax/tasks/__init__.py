"""Tasks: what to learn, and evaluators: how it is measured."""

from posejax.tasks.base import Aux, Evaluator, Task

__all__ = ['Aux', 'Evaluator', 'Task']
