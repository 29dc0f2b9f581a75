"""Pictures of a finished or running training; needs matplotlib."""
from .attention_gallery import look
from .curves import knn_chart, loss_chart, scalar_charts
from .embedding import embed, embedding_chart
from .loading import load_model
from .neighbours import find_neighbours, neighbours_gallery
from .report import write_report
from .run_features import RunFeatures, open_features
from .run_logs import RunLog, read_run
from .run_plots import draw_run
from .static import draw_charts, draw_gallery
from .views import make_views, views_gallery

__all__ = [
    'RunFeatures', 'RunLog', 'draw_charts', 'draw_gallery', 'draw_run',
    'embed', 'embedding_chart', 'find_neighbours', 'knn_chart', 'load_model',
    'look', 'loss_chart', 'make_views', 'neighbours_gallery', 'open_features',
    'read_run', 'scalar_charts', 'views_gallery', 'write_report'
]
