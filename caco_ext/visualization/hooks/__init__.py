"""Hooks that draw while a run trains, and when it ends."""
from .run_report_hook import RunReportHook
from .visualization_hook import VisualizationHook

__all__ = ['RunReportHook', 'VisualizationHook']
