"""One command for each benchmark, and the table of their results."""
import json
import subprocess
import sys

import pytest
from mmengine.config import Config

from tests.helpers import ROOT
from tests.helpers.benchmark_data import make_voc
from tests.helpers.benchmark_runs import (CONFIGS, NARROW, losses, pretrained,
                                          results, write)
from tests.helpers.processes import environment, run_tool
from tests.transfer import test_detection as detection
from tests.transfer import test_frozen as frozen
from tests.transfer import test_segmentation as segmentation
from tests.transfer.test_classification import (ADCO, ONE_PERCENT,
                                                make_folders, shrink)

COLLECT = 'analysis_tools/collect_results.py'


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Data, backbone and configs."""
    folder = tmp_path_factory.mktemp('benchmarks')
    make_folders(folder / 'data')
    pretrained(folder / 'a.pth', **NARROW)
    cfg = shrink(f'imagenet/{ADCO}', folder)
    cfg.train_cfg.max_epochs = 1
    cfg.optim_wrapper.optimizer.lr = 3e-5
    write(cfg, folder, 'linear.py')
    cfg = Config.fromfile(f'{CONFIGS}/classification/imagenet/knn_in1k.py')
    cfg.k, cfg.num_workers, cfg.cache = [1, 3], 0, None
    for name in ('train_dataset', 'test_dataset'):
        cfg[name].data_root = str(folder / 'data')
        cfg[name].pipeline[1].scale = 32
        cfg[name].pipeline[2].crop_size = 32
    write(cfg, folder, 'knn.py')
    return folder


def in_processes(folder,
                 task: str,
                 gpus: int,
                 config: str = 'tiny.py') -> dict:
    """Run a config of a folder from its ``a.pth``."""
    run_tool(
        f'benchmarks/{task}/run.sh',
        config,
        'a.pth',
        gpus,
        '--work-dir',
        f'{task}{gpus}',
        cwd=folder)
    found = results(folder / f'{task}{gpus}')
    assert found['processes'] == gpus
    return found


@pytest.mark.slow
def test_two_processes_give_what_one_gives(folder):
    """A stock trainer and a tool of this package, in two processes each."""
    one, two = (in_processes(folder, 'knn', gpus, 'knn.py') for gpus in (1, 2))
    assert one['metrics'] == two['metrics']
    assert one['checkpoint']['matched'] == {'backbone': 318}
    assert {'torch', 'mmengine', 'caco_ext'} <= set(one['versions'])
    run_tool(
        'benchmarks/linear/run.sh',
        'linear.py',
        'a.pth',
        2,
        '--cfg-options',
        'train_dataloader.batch_size=6',
        cwd=folder)
    work = folder / 'work_dirs/benchmarks/linear/a'
    found = results(work)
    assert found['processes'] == 2 and found['task'] == 'linear_imagenet'
    assert found['checkpoint']['matched'] == {'model.backbone': 318}
    output = run_tool(COLLECT, '.', '--out', folder / 'table.md', cwd=folder)
    assert (folder / 'table.md').read_text() == output
    row = [line for line in output.splitlines() if '| a.pth |' in line]
    assert len(row) == 1 and found['checkpoint']['sha256'][:8] in row[0]
    assert '(2 runs)' in row[0]
    top1 = found['best']['accuracy/top1']['value']
    assert f'{top1:.2f}' in row[0]


@pytest.mark.slow
def test_detection_in_two_processes(tmp_path):
    """Three pictures on two ranks: each is in the figures once."""
    pretrained(tmp_path / 'a.pth', **NARROW)
    cfg = detection.coco(tmp_path, detection.C4, (4, 3))
    cfg.train_dataloader.batch_size = 1
    cfg.train_cfg.update(max_epochs=1, val_interval=1)
    # At more the steps of one picture each leave a single box.
    cfg.optim_wrapper.optimizer.lr = 1e-5
    write(detection.narrow(cfg), tmp_path)
    found = in_processes(tmp_path, 'detection', 2)
    assert sum(found['checkpoint']['matched'].values()) == 318
    detection.check_with_pycocotools(tmp_path, found['metrics'])
    boxes = json.loads((tmp_path / 'predictions.bbox.json').read_text())
    pictures = [box['image_id'] for box in boxes]
    assert set(pictures) <= {0, 1, 2}
    assert max(map(pictures.count, pictures)) <= 10


@pytest.mark.slow
def test_segmentation_in_two_processes(tmp_path):
    pretrained(tmp_path / 'a.pth', **NARROW)
    cfg = segmentation.voc(tmp_path, 3)
    cfg.train_cfg.update(max_iters=2, val_interval=2)
    cfg.val_evaluator.output_dir = f'{tmp_path}/maps'
    write(cfg, tmp_path)
    found = in_processes(tmp_path, 'segmentation', 2)
    assert found['metrics']['mIoU'] == pytest.approx(
        segmentation.mean_iou(tmp_path, 3), abs=0.01)


@pytest.mark.slow
def test_voc07_layer_in_two_processes(tmp_path):
    """The numbers of one; in the last batch one rank has no picture."""
    pretrained(tmp_path / 'a.pth', **NARROW)
    root = make_voc(tmp_path / 'VOCdevkit', 4) / 'VOC2007'
    cfg = Config.fromfile(f'{CONFIGS}/classification/voc07/sgd_voc07.py')
    cfg.update(
        data_root=str(root),
        num_workers=0,
        epochs=2,
        lr=1e-4,
        batch_size=7,
        per_image=True)
    write(cfg, tmp_path)
    one, two = (in_processes(tmp_path, 'voc07', n)['metrics'] for n in (1, 2))
    assert one == pytest.approx(two) and one['per_image_AP'] > 0


@pytest.mark.slow
def test_svm_in_two_processes(tmp_path):
    """The features of both, and one machine after another."""
    pretrained(tmp_path / 'a.pth', **NARROW)
    cfg = frozen.shrink(
        'voc07/svm_voc07.py',
        tmp_path,
        data_root=str(make_voc(tmp_path / 'VOCdevkit', 20) / 'VOC2007'),
        costs=[0.1, 1.],
        shots=[1],
        samples=1,
        jobs=1,
        cache=None)
    write(cfg, tmp_path)
    one, two = (in_processes(tmp_path, 'voc07', n)['metrics'] for n in (1, 2))
    assert one == pytest.approx(two) and 'mAP' in one


@pytest.mark.slow
def test_grid_in_two_processes(folder):
    cfg = frozen.shrink(
        'imagenet/lineargrid_in1k.py',
        folder,
        lrs=[1e-6, 1e-4],
        cache=None,
        probe=dict(epochs=2, batch_size=12))
    write(cfg, folder, 'grid.py')
    one, two = (
        in_processes(folder, 'lineargrid', n, 'grid.py')['metrics']
        for n in (1, 2))
    assert one == pytest.approx(two) and one['top1'] > 20


@pytest.mark.slow
def test_stock_classification_in_two_processes(tmp_path):
    """The pictures of both ranks are counted: 12 of each of three classes."""
    make_folders(tmp_path / 'data')
    pretrained(tmp_path / 'a.pth', **NARROW)
    cfg = shrink(f'imagenet/{ONE_PERCENT}', tmp_path)
    cfg.train_dataloader.batch_size = 6
    cfg.train_cfg.max_epochs = 1
    write(cfg, tmp_path)
    found = in_processes(tmp_path, 'semi_supervised', 2)
    assert sum(found['checkpoint']['matched'].values()) == 318
    share = found['metrics']['accuracy/top1'] * 18 / 100
    assert share == pytest.approx(round(share), abs=1e-3)
    assert len(losses(tmp_path / 'semi_supervised2')) == 3


def shell(*arguments, cwd, **changes):
    """Run a run.sh with stand-ins for Python; its result."""
    return subprocess.run(['bash', *map(str, arguments)],
                          cwd=cwd,
                          env=environment(**changes),
                          capture_output=True,
                          text=True)


def test_launchers_and_options(tmp_path):
    """What would be started, here, on several nodes and by slurm."""
    for name in ('python', 'srun'):
        script = tmp_path / name
        script.write_text('#!/bin/sh\n'
                          f'[ "$1" = -c ] && exec {sys.executable!r} "$@"\n'
                          f'echo {name} "$*"\n')
        script.chmod(0o755)
    (tmp_path / 'c.py').write_text('')
    (tmp_path / 'a.pth').write_text('')
    import os
    env = dict(
        PYTHON=str(tmp_path / 'python'),
        PATH=f'{tmp_path}:{os.environ["PATH"]}')
    script = f'{ROOT}/tools/benchmarks/detection/run.sh'

    def start(*arguments, **changes):
        done = shell(script, *arguments, cwd=tmp_path, **{**env, **changes})
        assert done.returncode == 0, done.stderr
        return done.stdout

    one = start('c.py', 'a.pth', 1, '--amp', '--cfg-options', 'x=1', 'y=2',
                '--resume', '--cfg-options', 'z=3')
    assert one.startswith('python ') and 'mmdet/.mim/tools/train.py' in one
    assert one.endswith(
        'c.py --amp --resume --work-dir work_dirs/benchmarks/c/a '
        '--cfg-options x=1 y=2 z=3 '
        'default_hooks.pretrained.checkpoint=a.pth\n')
    (tmp_path / 'a, [b] c.pth').write_text('')
    output = start('c.py', 'a, [b] c.pth', 1, '--work-dir', 'a  run')
    assert output.endswith(
        'c.py --work-dir a  run --cfg-options '
        'default_hooks.pretrained.checkpoint="a, [b] c.pth"\n')
    random = start('c.py', 'random', 8)
    assert '--nproc_per_node=8' in random and '--launcher pytorch' in random
    assert 'default_hooks.pretrained=None' in random
    nodes = start(
        'c.py', 'a.pth', 8, NNODES='2', NODE_RANK='1', MASTER_ADDR='m')
    assert '--nnodes=2 --node_rank=1 --master_addr=m' in nodes
    slurm = start('c.py', 'a.pth', 16, PARTITION='gpu')
    assert slurm.startswith('srun -p gpu --job-name=mmdet --ntasks=16 ')
    assert '--launcher slurm' in slurm


@pytest.mark.parametrize('arguments, words', [
    (['c.py'], 'usage: run.sh CONFIG CHECKPOINT GPUS'),
    (['none.py', 'a.pth', '1'], 'no such config: none.py'),
    (['c.py', 'none.pth', '1'], 'no such checkpoint: none.pth'),
    (['c.py', 'a.pth', 'x'], 'GPUS=x is no whole number'),
])
def test_wrong_use(tmp_path, arguments, words):
    (tmp_path / 'c.py').write_text('')
    (tmp_path / 'a.pth').write_text('')
    done = shell(
        f'{ROOT}/tools/benchmarks/detection/run.sh', *arguments, cwd=tmp_path)
    assert done.returncode == 1 and words in done.stderr


@pytest.mark.slow
def test_faults_of_the_tools(folder, tmp_path):
    for name, content, words in (('empty', None, 'no results.json in'),
                                 ('bad', '{}', 'is no result'),
                                 ('cut', '{"ta', 'cut/results.json is not J'),
                                 ('odd', '{"task": "a", "metrics": [1]}',
                                  'is no result')):
        (tmp_path / name).mkdir()
        if content:
            (tmp_path / name / 'results.json').write_text(content)
        assert words in run_tool(COLLECT, name, cwd=tmp_path, fails=True)
    (folder / 'text.pth').write_text('hello')
    output = run_tool(
        'benchmarks/knn/run.sh',
        'knn.py',
        'text.pth',
        1,
        cwd=folder,
        fails=True)
    assert 'not a readable checkpoint' in output and 'Traceback' not in output
    output = run_tool(
        'benchmarks/knn/run.sh',
        'linear.py',
        'a.pth',
        1,
        cwd=folder,
        fails=True)
    words = 'linear.py is a config of another benchmark: it has no results, k'
    assert words in output
