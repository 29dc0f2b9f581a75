"""Pictures of a finished or running training.

The hooks are registered at once; the rest, which needs matplotlib, is
imported when it is first used.
"""
from typing import Any

from caco_ext.utils.lazy import lazy_attribute
from .hooks import RunReportHook, VisualizationHook

_FILES = dict(
    attention_gallery=['look'],
    curves=['knn_chart', 'loss_chart', 'scalar_charts'],
    embedding=['embed', 'embedding_chart'],
    loading=['load_model'],
    neighbours=['find_neighbours', 'neighbours_gallery'],
    report=['write_report'],
    run_features=['RunFeatures', 'open_features'],
    run_logs=['RunLog', 'read_run'],
    run_plots=['draw_run'],
    static=['draw_charts', 'draw_gallery'],
    views=['make_views', 'views_gallery'])
__all__ = ['RunReportHook', 'VisualizationHook']
__all__ += [name for names in _FILES.values() for name in names]


def __getattr__(name: str) -> Any:
    return lazy_attribute(__name__, _FILES, name)
