"""Transfer of pre-trained backbones to other tasks."""
from .data_check_hook import DataCheckHook
from .heads import LastStageExtraNorm, NormedLinear, linear_norm_head
from .multi_head import MultiHeadAccuracy
from .pretrained_hook import PretrainedBackboneHook
from .results import read_results, write_results
from .results_hook import ResultsHook
from .voc07 import VOC07Pictures
from .weights import find_places, load_pretrained, read_pretrained

__all__ = [
    'DataCheckHook', 'LastStageExtraNorm', 'MultiHeadAccuracy', 'NormedLinear',
    'PretrainedBackboneHook', 'ResultsHook', 'VOC07Pictures', 'find_places',
    'linear_norm_head', 'load_pretrained', 'read_pretrained', 'read_results',
    'write_results'
]
