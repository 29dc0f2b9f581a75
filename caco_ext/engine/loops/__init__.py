from .iteration_loop import IterationTrainLoop

__all__ = ['IterationTrainLoop']
