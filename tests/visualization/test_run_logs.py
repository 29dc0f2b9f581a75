"""Reading and drawing what runs leave."""
import json

import numpy as np
import pytest
from PIL import Image

from caco_ext.visualization import draw_curves, draw_neighbours, read_run
from caco_ext.visualization.neighbours import Neighbourhood, choose_queries


def write_part(work_dir, stamp, epochs, loss, knn, per_epoch=3, tail=''):
    """The scalars of a part that trained ``epochs``."""
    folder = work_dir / stamp / 'vis_data'
    folder.mkdir(parents=True)
    rows = [dict({'knn/top1': knn, 'knn/top5': 90.}, step=0)] \
        if epochs[0] == 1 else []
    for epoch in epochs:
        for i in range(1, per_epoch + 1):
            step = ((epoch - 1) * per_epoch + i) * 10
            rows.append(dict(loss=loss + i, epoch=epoch, iter=step, step=step))
        rows.append(dict({'knn/top1': knn + epoch}, step=epoch))
    text = ''.join(json.dumps(row) + '\n' for row in rows)
    (folder / 'scalars.json').write_text(text + tail)
    (folder / 'config.py').write_text('')
    return folder


def test_one_part(tmp_path):
    folder = write_part(tmp_path, '20260101_000000', [1, 2, 3], 4., 50.)
    log = read_run(str(tmp_path))
    assert log.loss_by_epoch() == ([1, 2, 3], [6., 6., 6.])
    assert log.knn_by_epoch() == ([1, 2, 3], [51., 52., 53.])
    assert log.untrained_knn == 50.
    assert log.config == str(folder / 'config.py')
    assert log.checkpoint is None


def test_resumed_part_replaces_what_it_repeats(tmp_path):
    """Killed in epoch 3 with half a line written, resumed from epoch 2."""
    write_part(
        tmp_path, '20260101_000000', [1, 2, 3], 4., 50., tail='{"loss": 3.')
    write_part(tmp_path, '20260102_000000', [3, 4], 2., 60.)
    # a test of the result leaves scalars too
    folder = tmp_path / '20260103_000000' / 'vis_data'
    folder.mkdir(parents=True)
    (folder / 'scalars.json').write_text('{"knn/top1": 1.0, "step": 0}\n')
    log = read_run(str(tmp_path))
    assert log.loss_by_epoch() == ([1, 2, 3, 4], [6., 6., 4., 4.])
    assert log.knn_by_epoch() == ([1, 2, 3, 4], [51., 52., 63., 64.])
    assert log.untrained_knn == 50.
    assert '20260102' in log.config


def test_new_run_in_an_old_folder(tmp_path):
    write_part(tmp_path, '20260101_000000', [1, 2, 3], 4., 50.)
    write_part(tmp_path, '20260102_000000', [1, 2], 2., 60.)
    log = read_run(str(tmp_path))
    assert log.loss_by_epoch() == ([1, 2], [4., 4.])
    assert log.knn_by_epoch() == ([1, 2], [61., 62.])
    assert log.untrained_knn == 60.


def test_last_checkpoint_of_a_moved_folder(tmp_path):
    write_part(tmp_path, '20260101_000000', [1], 4., 50.)
    (tmp_path / 'last_checkpoint').write_text('/gone/epoch_1.pth')
    assert read_run(str(tmp_path)).checkpoint is None
    (tmp_path / 'epoch_1.pth').touch()
    assert read_run(str(tmp_path)).checkpoint == str(tmp_path / 'epoch_1.pth')


def test_no_scalars(tmp_path):
    with pytest.raises(FileNotFoundError, match='has no logged losses'):
        read_run(str(tmp_path))


def test_curves_are_drawn(tmp_path):
    write_part(tmp_path, '20260101_000000', [1, 2, 3], 4., 50.)
    path = draw_curves(read_run(str(tmp_path)), str(tmp_path / 'curves.png'))
    with Image.open(path) as picture:
        assert picture.width > 2 * picture.height * 0.9  # two panels
        colours = np.unique(
            np.asarray(picture.convert('RGB')).reshape(-1, 3), axis=0)
    for colour in ((31, 95, 168), (42, 138, 62), (136, 136, 136)):
        assert (colours == colour).all(1).any(), 'a curve is missing'
    assert [p.name for p in tmp_path.glob('curves*')] == ['curves.png']


def test_neighbours_are_drawn(tmp_path):
    pictures = [np.full((8, 8, 3), c, np.uint8) for c in (0, 90, 180)]
    rows = [
        Neighbourhood(pictures, ['cat', 'cat', 'dog'], [0.9, 0.8],
                      [True, False])
    ]
    path = draw_neighbours(rows, str(tmp_path / 'n.png'), 'some run')
    with Image.open(path) as picture:
        colours = np.asarray(picture.convert('RGB')).reshape(-1, 3)
    count = {
        colour: (colours == colour).all(1).sum()
        for colour in ((42, 138, 62), (198, 47, 47), (51, 51, 51))
    }
    assert all(n > 1000 for n in count.values()), count  # three frames


def test_queries_cover_the_classes():
    labels = np.array([0] * 50 + [1] * 3 + [2] * 20)
    chosen = choose_queries(labels, 5)
    assert len(set(chosen)) == 5
    assert set(labels[chosen]) == {0, 1, 2}
    assert chosen == choose_queries(labels, 5)
    assert len(choose_queries(labels, 999)) == 73
