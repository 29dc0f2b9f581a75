"""UMAP itself; collected where umap-learn is installed."""
import numpy as np
import torch

from caco_ext.visualization.embedding import embed


def test_clusters_stay_apart():
    torch.manual_seed(0)
    centres = torch.eye(3, 32).repeat_interleave(20, 0)
    features = centres + torch.randn(60, 32) * 0.02
    points = embed(features, 'umap')
    assert points.shape == (60, 2) and points.dtype == np.float32
    groups = points.reshape(3, 20, 2)
    middle = groups.mean(1)
    inside = np.linalg.norm(groups - middle[:, None], axis=2).max()
    between = min(
        np.linalg.norm(middle[a] - middle[b])
        for a, b in ((0, 1), (0, 2), (1, 2)))
    assert between > 2 * inside
    # the seed decides
    assert np.array_equal(points, embed(features, 'umap'))


def test_from_the_command_line(trained, call_tool, tmp_path):
    call_tool('analysis_tools/embed', trained / 'run', '--method', 'umap')
    text = (tmp_path / 'embedding.html').read_text()
    assert '4 pictures of the test set' in text and 'UMAP' in text
