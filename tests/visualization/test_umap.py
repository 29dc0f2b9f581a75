"""UMAP itself; collected where umap-learn is installed."""
import numpy as np
import pytest

from caco_ext.visualization.embedding import embed
from .test_bank_health import embed_clusters

pytestmark = pytest.mark.slow


def test_clusters_stay_apart():
    features, points = embed_clusters('umap')
    # the seed decides
    assert np.array_equal(points, embed(features, 'umap'))


def test_from_the_command_line(trained, call_tool, tmp_path):
    call_tool('analysis_tools/embed', trained / 'run', '--method', 'umap')
    text = (tmp_path / 'embedding.html').read_text()
    assert '4 pictures of the test set' in text and 'UMAP' in text
