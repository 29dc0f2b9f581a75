"""tools/benchmarks/compare_methods.sh on a few pictures."""
import glob
import json
import os
import os.path as osp
import shutil
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.registry import DATASETS
from PIL import Image

from caco_ext.utils import UsageError, run_tool
from caco_ext.visualization import read_run
from tests.helpers import ROOT
from tests.helpers.processes import run_tool as run_script
from tests.helpers.processes import write_config

TOOLS = osp.join(ROOT, 'tools', 'benchmarks')
MODULES = ('compare_methods', 'comparison_measures', 'comparison_report',
           'comparison_runs')


@pytest.fixture(scope='module')
def modules():
    """The tool's modules, imported as the script imports them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(TOOLS)
        patch.setenv('LOCAL_RANK', '0')  # so that it is taken back
        yield SimpleNamespace(**{name: __import__(name) for name in MODULES})
        for name in MODULES:
            del sys.modules[name]


@pytest.fixture(scope='module')
def compare(modules, tmp_path_factory):
    """Call the tool in this process, which saves importing torch."""
    folder = tmp_path_factory.mktemp('compare')
    write_config(folder)
    data, knn = folder / 'data', 'default_hooks.knn'
    options = ('model.backbone.base_channels=8',
               'model.backbone.stem_channels=8', 'model.neck.in_channels=64',
               'train_dataloader.batch_size=4',
               'train_dataloader.num_workers=0',
               'train_dataloader.persistent_workers=False',
               f'train_dataloader.dataset.data_root={data}',
               f'{knn}.train_dataset.data_root={data}',
               f'{knn}.test_dataset.data_root={data}', f'{knn}.k=3',
               f'{knn}.num_workers=0', f'{knn}.before_train=True')

    def call(*arguments, out=folder / 'out'):
        tool = modules.compare_methods
        run_tool(tool.get_parser(), tool.main, [
            '--out',
            str(out), '--methods', 'mocov2,simclr', '--seeds', '0,1',
            '--epochs', '1', *arguments, '--cfg-options', *options
        ])

    call.out = folder / 'out'

    class Trainings(modules.comparison_runs.Trainings):

        def run(self, config, options, seed, amp, work_dir, state):
            # As it is when the machine goes down after a checkpoint.
            if (seed, osp.basename(osp.dirname(work_dir))) == (1, 'mocov2'):
                finished = call.out / 'mocov2' / 'seed_0'
                for path in finished.iterdir():
                    if path.is_dir():
                        shutil.copytree(path, osp.join(work_dir, path.name))
                    elif path.suffix == '.pth' or \
                            path.name == 'last_checkpoint':
                        shutil.copy(path, work_dir)
                for path in glob.glob(osp.join(work_dir, 'epoch_*.pth')):
                    content = torch.load(path)
                    content['meta']['cfg'] = content['meta']['cfg'].replace(
                        'randomness = dict(seed=0)',
                        'randomness = dict(seed=1)')
                    torch.save(content, path)
            return super().run(config, options, seed, amp, work_dir, state)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(modules.compare_methods, 'Trainings', Trainings)
        call()
    return call


def read(path):
    with open(path, encoding='utf-8') as file:
        return json.load(file)


def cells(out) -> dict:
    """The rows of the table by method."""
    lines = (out / 'table.md').read_text().splitlines()
    rows = [[c.strip() for c in line.strip('|').split('|')] for line in lines
            if line.startswith('|')]
    assert rows[0] == [
        'method', 'kNN [%]', 'linear probe [%]', 'seconds per epoch',
        'peak memory [GB]', 'seeds'
    ]
    return {row[0]: row[1:] for row in rows[2:]}


@pytest.mark.slow
def test_table_and_plot(compare):
    rows = cells(compare.out)
    assert set(rows) == {'mocov2', 'simclr', 'random network', 'pixels'}
    accuracies = [float(row[0].split()[0]) for row in rows.values()]
    assert accuracies == sorted(accuracies, reverse=True)
    results = read(compare.out / 'results.json')
    assert len(results['runs']) == 7
    for method in ('mocov2', 'simclr'):
        runs = [r for r in results['runs'] if r['method'] == method]
        assert rows[method][-1] == '0, 1'
        for column, name, unit, digits in ((0, 'knn', 1, 1), (1, 'probe', 1,
                                                              1),
                                           (3, 'peak_memory_mb', 1e-3, 2)):
            values = [run[name] * unit for run in runs]
            mean, spread = np.mean(values), np.std(values, ddof=1)
            assert rows[method][column] == \
                f'{mean:.{digits}f} ± {spread:.{digits}f}'
        quickest = min(run['seconds_per_epoch'] for run in runs)
        assert rows[method][2] == f'{quickest:.1f}'
        # Torch alone takes more than this, and nobody waits a minute.
        assert all(r['peak_memory_mb'] > 200 for r in runs)
        assert all(0 < r['seconds_per_epoch'] < 60 for r in runs)
    assert rows['random network'][2:4] == ['–', '–']
    assert rows['pixels'][1:] == ['–', '–', '–', '0']
    with Image.open(compare.out / 'plot.png') as picture:
        assert picture.width > 800 and len(set(picture.getdata())) > 50


@pytest.mark.slow
def test_each_run_is_measured_as_it_was_logged(compare):
    results = read(compare.out / 'results.json')
    trained = [
        r for r in results['runs'] if r['method'] not in ('random', 'pixels')
    ]
    weights = {}
    for run in trained:
        folder = compare.out / run['method'] / f'seed_{run["seed"]}'
        log = read_run(str(folder))
        assert log.knn_by_epoch() == ([1], [run['knn']])
        kept = torch.load(folder / 'knn_features.pth', weights_only=True)
        weights[run['method'], run['seed']] = kept['train'].numpy().tobytes()
    # The second of MoCo v2 continued a copy of the first.
    assert len(trained) == 4 and len(set(weights.values())) == 3
    assert weights['mocov2', 0] == weights['mocov2', 1]
    # The weights that MoCo v2 starts from, and others.
    untrained = {
        r['seed']: (r['knn'], r['probe'])
        for r in results['runs'] if r['method'] == 'random'
    }
    log = read_run(str(compare.out / 'mocov2' / 'seed_0'))
    assert log.untrained_knn == untrained[0][0]
    assert untrained[0] != untrained[1]
    assert set(results['knn_by_epoch']['simclr']) == {'0', '1'}


@pytest.mark.slow
def test_an_interrupted_run_is_resumed(compare):
    first, second = (compare.out / 'mocov2' / f'seed_{s}' for s in (0, 1))
    assert 'Saving checkpoint at 1' in (first / 'train.log').read_text()
    resumed = (second / 'train.log').read_text()
    assert 'resumed epoch: 1' in resumed
    assert 'Saving checkpoint' not in resumed
    first, second = (read(p / 'result.json') for p in (first, second))
    for name in ('knn', 'probe', 'seconds_per_epoch'):
        assert second[name] == first[name]


@pytest.mark.slow
def test_finished_runs_are_kept(compare, capfd):
    sizes = {p: p.stat().st_size for p in compare.out.glob('*/*/train.log')}
    assert len(sizes) == 4
    before = cells(compare.out)
    capfd.readouterr()
    compare()
    output = capfd.readouterr().out
    assert output.count(': kept\n') == 7
    assert 'see ' not in output
    assert sizes == {p: p.stat().st_size for p in sizes}
    assert cells(compare.out) == before


@pytest.mark.slow
def test_table_of_what_there_is(compare, tmp_path):
    result = compare.out / 'simclr' / 'seed_1' / 'result.json'
    shutil.move(result, tmp_path)
    try:
        compare('--table-only')
        rows = cells(compare.out)
    finally:
        shutil.move(tmp_path / 'result.json', result)
    assert rows['simclr'][-1] == '0' and '±' not in rows['simclr'][0]
    assert rows['mocov2'][-1] == '0, 1'
    compare('--table-only')
    assert cells(compare.out)['simclr'][-1] == '0, 1'


@pytest.mark.slow
@pytest.mark.parametrize('arguments, message', [
    (('--methods', 'caco,moco'),
     "there is no 'moco' in the track photopatches; choose among adco-asym"),
    (('--pictures', '0'), '--pictures 0 must be at least 1'),
    (('--pictures', '99'), '--pictures 99: there are 8 for training'),
    (('--seeds', '0,x'), '--seeds 0,x must be whole numbers'),
    (('--seeds', '0,0'), '--seeds names one twice'),
    (('--epochs', '0'), '--epochs 0 must be at least 1'),
    (('--jobs', '0'), '--jobs 0 must be from 1 to '),
    (('--methods', 'caco'), 'caco warms up for 1; take at least 2'),
    (('--epochs', '2'), 'holds another comparison'),
])
def test_wrong_arguments(compare, arguments, message):
    with pytest.raises(SystemExit, match=message):
        compare(*arguments)


@pytest.mark.slow
def test_another_config_in_an_old_folder(compare, modules, monkeypatch):
    methods = modules.compare_methods.TRACKS['photopatches'].methods
    monkeypatch.setitem(methods, 'mocov2', methods['simclr'])
    monkeypatch.setattr(modules.compare_methods, 'RANDOM', 'simclr')
    with pytest.raises(SystemExit, match='seed_0 holds a run of another'):
        compare('--methods', 'mocov2')


@pytest.mark.slow
def test_a_failing_run_is_named_and_the_others_go_on(compare, modules,
                                                     monkeypatch, tmp_path,
                                                     capsys):
    script = tmp_path / 'train.py'
    script.write_text('raise SystemExit("no room left")')
    monkeypatch.setattr(modules.comparison_runs, 'TRAIN', str(script))
    # So that nothing has to be measured here.
    for name in ('random', 'pixels'):
        shutil.copytree(compare.out / name, tmp_path / 'out' / name)
    with pytest.raises(SystemExit) as stop:
        compare('--seeds', '0', out=tmp_path / 'out')
    assert str(stop.value).endswith('these failed: mocov2, seed 0; simclr, '
                                    'seed 0')
    assert capsys.readouterr().out.count('no room left') == 2
    assert set(cells(tmp_path / 'out')) == {'random network', 'pixels'}


def train_two(modules, folder, script, function):
    """Start two runs of a script at a time; it is given --work-dir."""
    path = folder / 'train.py'
    path.write_text(script)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(modules.comparison_runs, 'TRAIN', str(path))
        patch.setattr(modules.comparison_runs, 'CORES', 6)
        patch.delenv('OMP_NUM_THREADS', raising=False)
        with modules.comparison_runs.Trainings(2) as trainings:

            def run(name):
                (folder / name).mkdir()
                state = dict(peak_memory_mb=0)
                function(name)
                return trainings.run('config', [], 0, False,
                                     str(folder / name), state)

            return trainings.map(run, ['a', 'b'])


MEET = """
import os, pathlib, sys, time
folder = pathlib.Path(sys.argv[3])
(folder / 'pid').write_text(str(os.getpid()))
(folder / 'threads').write_text(os.environ['OMP_NUM_THREADS'])
other = folder.with_name(dict(a='b', b='a')[folder.name]) / 'pid'
end = time.time() + 60
while not other.exists():
    if time.time() > end:
        sys.exit(1)
    time.sleep(.05)
"""


def test_jobs_train_at_a_time_on_their_part_of_the_cores(modules, tmp_path):
    assert train_two(modules, tmp_path, MEET, lambda name: None) == [0, 0]
    for name in ('a', 'b'):
        assert (tmp_path / name / 'threads').read_text() == '3'


def test_an_error_stops_what_trains(modules, tmp_path):

    def fail_second(name):
        if name == 'b':
            while not (tmp_path / 'a' / 'pid').exists():
                time.sleep(.05)
            raise UsageError('no')

    begun = time.time()
    with pytest.raises(UsageError, match='^no$'):
        train_two(modules, tmp_path, MEET, fail_second)
    assert time.time() - begun < 50
    pid = int((tmp_path / 'a' / 'pid').read_text())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.slow
def test_table_only_needs_a_comparison(compare, tmp_path):
    with pytest.raises(SystemExit, match='nothing holds no comparison'):
        compare('--table-only', out=tmp_path / 'nothing')


def test_shell_script(tmp_path):
    output = run_script(
        'benchmarks/compare_methods.sh',
        '--epochs',
        '3',
        '--out',
        'a folder',
        cwd=tmp_path,
        PYTHON='echo')
    assert output.strip() == \
        f'{TOOLS}/compare_methods.py --epochs 3 --out a folder'


def test_schedules_are_stretched_behind_their_warm_up(modules):
    tool, runs = modules.compare_methods, modules.comparison_runs
    config = osp.join(ROOT, 'configs', 'selfsup',
                      tool.TRACKS['photopatches'].methods['caco'])
    cfg = runs.resolve(config, tool.COMMON_OPTIONS)
    options = runs.schedule_options(cfg, 30, 'caco')
    cfg = runs.resolve(config, [*tool.COMMON_OPTIONS, *options])
    warm, cosine = cfg.param_scheduler
    assert (warm['end'], cosine['begin']) == (1, 1)
    assert (cosine['T_max'], cosine['end']) == (29, 30)
    assert cfg.train_cfg.max_epochs == 30
    assert cfg.default_hooks.checkpoint.save_best is None


def arguments(modules, *given):
    tool = modules.compare_methods
    args = tool.get_parser().parse_args(given)
    tool.check_arguments(args)
    return args


@pytest.fixture
def cifar(tmp_path):
    """Two classes of ten pictures for training and two for testing."""
    for part, count in (('train', 10), ('test', 2)):
        for name in ('cat', 'dog'):
            folder = tmp_path / 'cifar' / part / name
            folder.mkdir(parents=True)
            for i in range(count):
                Image.new('RGB', (32, 32), (i, 0, 0)).save(folder / f'{i}.png')
    return str(tmp_path / 'cifar')


def test_all_methods_have_one_backbone_and_batch(modules, monkeypatch,
                                                 tmp_path, cifar):
    tool = modules.compare_methods
    for track, given, said in (('photopatches', [],
                                'ResNet-18, batches of 64, 15 epoch(s)'),
                               ('cifar-cpu',
                                ['--data', cifar, '--pictures', '8'],
                                'ResNet_CIFAR-18 of 16 channels, batches of '
                                '128, 10 epoch(s)')):
        args = arguments(modules, '--track', track, *given)
        runs, common = tool.plan(args)
        assert common == said
        methods = tool.TRACKS[track].methods
        assert list(runs) == list(methods)
        assert len({digest for *_, digest in runs.values()}) == len(methods)
    methods = tool.TRACKS['photopatches'].methods
    base = osp.join(ROOT, 'configs', 'selfsup', methods['mocov2'])
    other = tmp_path / 'other.py'
    other.write_text(f'_base_ = {base!r}\n'
                     'model = dict(backbone=dict(depth=50))\n'
                     'train_dataloader = dict(batch_size=32)\n')
    monkeypatch.setitem(methods, 'byol', str(other))
    with pytest.raises(ValueError, match='byol has ResNet-50, batches of 32'):
        tool.plan(arguments(modules))


def test_every_method_gets_the_same_pictures(modules, cifar):
    tool = modules.compare_methods
    args = arguments(modules, '--track', 'cifar-cpu', '--data', cifar,
                     '--pictures', '8')
    used = set()
    for config, options, _ in tool.plan(args)[0].values():
        cfg = modules.comparison_runs.resolve(config, options)
        knn = cfg.default_hooks.knn
        parts = []
        for dataset in (cfg.train_dataloader.dataset, knn.train_dataset,
                        knn.test_dataset):
            dataset.pipeline = []
            data = DATASETS.build(dataset)
            parts.append(
                tuple(
                    data.get_data_info(i)['img_path']
                    for i in range(len(data))))
        used.add(tuple(parts))
    (train, searched, tested), = used
    assert train == searched and len(train) == 8 and len(tested) == 4
    assert sum('cat' in path for path in train) == 4
