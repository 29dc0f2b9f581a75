"""Transfer of pre-trained backbones to other tasks."""
from .data_check_hook import DataCheckHook
from .pretrained_hook import PretrainedBackboneHook
from .results import read_results, write_results
from .results_hook import ResultsHook
from .weights import find_places, load_pretrained

__all__ = [
    'DataCheckHook', 'PretrainedBackboneHook', 'ResultsHook', 'find_places',
    'load_pretrained', 'read_results', 'write_results'
]
