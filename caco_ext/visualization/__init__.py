"""Pictures of a finished or running training; needs matplotlib."""
from .curves import draw_curves
from .neighbours import draw_neighbours, find_neighbours
from .run_logs import RunLog, read_run

__all__ = [
    'RunLog', 'draw_curves', 'draw_neighbours', 'find_neighbours', 'read_run'
]
