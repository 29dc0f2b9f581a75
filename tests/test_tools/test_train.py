"""tools/train.py and tools/test.py, each started as a user would."""
import json
import shutil

import pytest
import torch
from mmengine.registry import DATASETS, OPTIM_WRAPPERS

from caco_ext.utils.config_files import config_path
from caco_ext.utils.presets import METHODS, SIZES
from caco_ext.utils.run_lock import NAME
from tests.helpers.processes import write_config
from tests.reliability.test_run_lock import other_run


def read_scalars(folder):
    """Scalars of all runs in a work folder, in order."""
    lines = []
    for path in sorted(folder.glob('*/vis_data/*.json')):
        if path.name not in ('config.json', 'scalars.json', 'run.json'):
            lines += [json.loads(x) for x in path.read_text().splitlines()]
    return lines


def test_trains_and_scales_the_learning_rate(trained):
    checkpoint = torch.load(
        trained / 'run' / 'epoch_1.pth', map_location='cpu', weights_only=True)
    assert checkpoint['meta']['epoch'] == 1
    assert checkpoint['meta']['iter'] == 2  # 8 pictures, 4 a batch
    output = (trained / 'output.txt').read_text()
    assert 'batch size of 8' in output and 'LR by 0.5' in output
    scalars = read_scalars(trained / 'run')
    assert any('knn/top1' in line for line in scalars)


@pytest.mark.slow
def test_resumes_the_latest_and_a_named_checkpoint(trained, call_tool,
                                                   tmp_path):
    config = trained / 'tiny.py'
    call_tool('train', config, '--work-dir', 'named', '--resume',
              trained / 'run' / 'epoch_1.pth', '--resume-changes', 'apply',
              '--cfg-options', 'train_cfg.max_epochs=2')
    lines = read_scalars(tmp_path / 'named')
    assert [x['epoch'] for x in lines if 'loss' in x] == [2]
    assert not (tmp_path / 'named' / 'epoch_1.pth').exists()
    # its schedule was cut off after an epoch of warm-up and 1 of 14
    longer = ('train', config, '--work-dir', 'named', '--resume',
              '--cfg-options', 'train_cfg.max_epochs=3',
              'param_scheduler.1.T_max=2', 'param_scheduler.1.end=3')
    assert 'train_cfg.max_epochs: 2 in the checkpoint, 3 now' in refusal(
        call_tool, *longer)
    assert not (tmp_path / 'named' / 'epoch_3.pth').exists()
    call_tool(*longer, '--resume-changes', 'apply')
    lines = read_scalars(tmp_path / 'named')
    lines = [x for x in lines if 'loss' in x]
    assert [x['epoch'] for x in lines] == [2, 3]
    # 0.012 + 1.188 (1 + cos(pi / 2)) / 2
    assert [x['lr'] for x in lines] == pytest.approx([1.2, 0.606])
    assert (tmp_path / 'named' / 'epoch_3.pth').exists()


@pytest.mark.slow
def test_linear_probe_of_a_finished_run(trained, call_tool, tmp_path):
    """It is resumed, trains no further, and is measured."""
    shutil.copytree(trained / 'run', tmp_path / 'run')
    call_tool('train', trained / 'tiny.py', '--work-dir', 'run', '--resume',
              '--linear', '--auto-scale-lr', '--cfg-options',
              'auto_scale_lr.base_batch_size=8')
    found = json.loads((tmp_path / 'run/linear_probe.json').read_text())
    assert found['epoch'] == 1 and found['iter'] == 2
    root = (trained / 'data').resolve()
    assert found['data'] == dict(
        train=dict(root=f'{root}/train', pictures=8, classes=2),
        test=dict(root=f'{root}/val', pictures=4, classes=2))
    lines = read_scalars(tmp_path / 'run')
    assert [x for x in lines
            if 'linear/top1' in x] == [dict(found['metrics'], step=1)]


def test_linear_probe_is_refused_without_knn(trained, call_tool, tmp_path):
    line = refusal(call_tool, 'train', trained / 'tiny.py', '--linear',
                   '--work-dir', 'run', '--cfg-options',
                   'default_hooks.knn=None')
    assert 'default_hooks.knn, or leave --linear out' in line
    assert '\n' not in line and not list(tmp_path.glob('run/*.pth'))


def test_work_dir_is_named_after_the_config(call_tool, tmp_path):
    config = write_config(tmp_path, name='my_run.py')
    call_tool('train', config, '--amp')
    folder = tmp_path / 'work_dirs' / 'my_run'
    assert (folder / 'epoch_1.pth').exists()
    assert "type='AmpOptimWrapper'" in (folder / 'my_run.py').read_text()


def refusal(call_tool, *arguments) -> str:
    """The one line with which a tool refuses to run."""
    with pytest.raises(SystemExit) as caught:
        call_tool(*arguments)
    return str(caught.value.code)


def test_wrong_use_ends_with_one_line(trained, call_tool, capsys, tmp_path):
    config = trained / 'tiny.py'
    line = refusal(call_tool, 'train', config, '--work-dir', 'wrong',
                   '--cfg-options', 'model.memory.type=LearnabelBank')
    log, = tmp_path.glob('wrong/*/*.log')
    assert line.endswith(
        'error: LearnabelBank is not in the mmselfsup::model registry; '
        f'nearest: LearnableBank; details: {log}')
    assert 'Traceback' in log.read_text()
    assert 'Traceback' not in capsys.readouterr().err
    assert refusal(call_tool, 'train',
                   'gone.py').endswith('error: no such config: gone.py')
    assert refusal(call_tool, 'train', config, '--cfg-options',
                   'optim_wraper.optimizer.lr=1').endswith(
                       'error: --cfg-options: no such option: '
                       'optim_wraper.optimizer.lr; nearest: '
                       'optim_wrapper.optimizer.lr')
    assert "work folder '/proc/1/none': No such file or directory" in refusal(
        call_tool, 'train', config, '--work-dir', '/proc/1/none')
    assert refusal(
        call_tool, 'train', config, '--resume',
        'gone.pth').endswith('error: --resume: no such checkpoint: gone.pth')
    assert 'w\ufffd: the name is not UTF-8' in refusal(call_tool, 'train',
                                                       config, '--work-dir',
                                                       'w\udce9')
    assert 'auto_scale_lr.base_batch_size=N' in refusal(
        call_tool, 'train', config, '--auto-scale-lr', '--cfg-options',
        'auto_scale_lr=None')
    assert "optim_wrapper.type is 'Other'" in refusal(
        call_tool, 'train', config, '--amp', '--cfg-options',
        'optim_wrapper.type=Other')
    for option, said in {
            'log_level=LOUD': "log_level='LOUD' is unknown; use DEBUG",
            'randomness.seed=-1': 'randomness.seed=-1 must be an integer',
            'model=None': 'is no config of a training: it has no model'
    }.items():
        assert said in refusal(call_tool, 'train', config, '--cfg-options',
                               option)
    assert refusal(call_tool, 'train', config, '--cfg-options', 'a') == '2'
    assert '--cfg-options wants KEY=VALUE' in capsys.readouterr().err


@pytest.fixture
def configs(monkeypatch):
    """What would be trained; nothing is."""
    from mmengine.runner import Runner
    configs = []

    def from_cfg(cfg):
        configs.append(cfg)
        raise SystemExit(0)

    monkeypatch.setattr(Runner, 'from_cfg', from_cfg)
    return configs


def test_paths_with_blanks_arrive(trained, call_tool, tmp_path, configs):
    """And are read: blanks, a comma, brackets, an equals sign, letters."""
    root = tmp_path / "My set [old], it's = für später"
    root.symlink_to(trained / 'data')
    config = tmp_path / 'a config.py'
    config.write_text(f'_base_ = {str(trained / "tiny.py")!r}\n')
    refusal(call_tool, 'train', config, '--work-dir', 'a run', '--cfg-options',
            f'train_dataloader.dataset.data_root="{root}"',
            f'default_hooks.knn.test_dataset.data_root={tmp_path}/a b')
    cfg, = configs
    assert cfg.train_dataloader.dataset.data_root == str(root)
    assert cfg.default_hooks.knn.test_dataset.data_root == f'{tmp_path}/a b'
    assert cfg.work_dir == 'a run'
    assert len(DATASETS.build(cfg.train_dataloader.dataset)) == 8


@pytest.mark.parametrize('method', METHODS)
@pytest.mark.parametrize('size', SIZES)
def test_a_preset_takes_the_data(trained, call_tool, configs, method, size):
    data = str(trained / 'data')
    refusal(call_tool, 'train', '--method', method, '--preset', size, '--data',
            data)
    cfg, = configs
    assert cfg.work_dir.startswith(f'work_dirs/{method}_resnet18_1xb')
    assert cfg.work_dir.endswith(f'e_{size}')
    knn = cfg.default_hooks.knn
    assert {
        cfg.train_dataloader.dataset.data_root, knn.train_dataset.data_root,
        knn.test_dataset.data_root
    } == {data}


def test_data_replaces_all_pictures_of_a_config(trained, call_tool, configs):
    data = str(trained / 'data')
    for config in ('caco/caco_resnet18_1xb64-sym-coslr-15e_photopatches.py',
                   'caco/caco_resnet50_8xb128-sym-coslr-200e_in1k.py'):
        refusal(call_tool, 'train', config_path(config), '--data', data,
                '--cfg-options', 'train_dataloader.dataset.pipeline=[]')
        dataset = DATASETS.build(configs.pop().train_dataloader.dataset)
        assert len(dataset) == 8  # those for training
    line = refusal(
        call_tool, 'train',
        config_path('baselines/simclr_resnet18_1xb256-2view-coslr-800e_'
                    'imagenette.py'), '--data', data)
    assert "train_dataloader.dataset is a TorchvisionDataset" in line


@pytest.mark.parametrize('given, said', [
    ((), 'name either a config, or --preset, --method and --data'),
    (('a.py', '--preset', 'small'), 'name either a config, or --preset'),
    (('--preset', 'small', '--data', 'x'), '--preset and --method need each'),
    (('a.py', '--method', 'caco'), '--preset and --method need each other'),
    (('--preset', 'small', '--method', 'caco'), '--preset small needs --data'),
])
def test_what_to_train_is_said_once(call_tool, given, said):
    line = refusal(call_tool, 'train', *given)
    assert said in line and '\n' not in line


@pytest.mark.parametrize(
    'given',
    [
        (),
        # As the presets of CARE, whose original trains in float16.
        ('optim_wrapper.type=AmpOptimWrapper',
         'optim_wrapper.loss_scale=dynamic'),
    ])
def test_amp_on_a_cpu_needs_no_loss_scaler(trained, call_tool, configs, given):
    options = ('--cfg-options', *given) if given else ()
    refusal(call_tool, 'train', trained / 'tiny.py', '--amp', *options)
    wrapper = configs.pop().optim_wrapper
    assert wrapper.type == 'AmpOptimWrapper' and wrapper.dtype == 'bfloat16'
    model = torch.nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=1)
    built = OPTIM_WRAPPERS.build(dict(wrapper, optimizer=optimizer))
    assert not built.loss_scaler.is_enabled()
    with built.optim_context(model):
        assert model(torch.ones(1, 2)).dtype == torch.bfloat16


def test_amp_on_an_old_gpu_is_float16_with_a_loss_scaler(
        trained, call_tool, configs, monkeypatch):
    monkeypatch.setattr('mmengine.device.get_device', lambda: 'cuda')
    monkeypatch.setattr(torch.cuda, 'get_device_capability', lambda: (7, 5))
    refusal(call_tool, 'train', trained / 'tiny.py', '--amp')
    wrapper = configs.pop().optim_wrapper
    assert wrapper.type == 'AmpOptimWrapper' and wrapper.dtype == 'float16'
    optimizer = torch.optim.SGD(torch.nn.Linear(2, 2).parameters(), lr=1)
    built = OPTIM_WRAPPERS.build(dict(wrapper, optimizer=optimizer))
    assert built.loss_scaler.is_enabled()


def test_the_launcher_is_found_out(trained, call_tool, configs, monkeypatch):
    for name, value in dict(
            RANK='0', WORLD_SIZE='2', MASTER_ADDR='m',
            MASTER_PORT='1').items():
        monkeypatch.setenv(name, value)
    config = trained / 'tiny.py'
    refusal(call_tool, 'train', config)
    assert configs.pop().launcher == 'pytorch'
    checkpoint = trained / 'run' / 'epoch_1.pth'
    for tool in (('train', config), ('test', config, checkpoint)):
        assert '--launcher none: torchrun started 2 processes' in refusal(
            call_tool, *tool, '--launcher', 'none')
    monkeypatch.setenv('WORLD_SIZE', '1')
    refusal(call_tool, 'train', config)
    assert configs.pop().launcher == 'none'
    assert not configs


def test_a_second_run_is_refused_before_it_writes(trained, call_tool,
                                                  tmp_path):
    with other_run(tmp_path / 'busy') as pid:
        line = refusal(call_tool, 'train', trained / 'tiny.py', '--work-dir',
                       'busy')
    assert f'process {pid} on ' in line and '\n' not in line
    assert [p.name for p in (tmp_path / 'busy').iterdir()] == [NAME]


def test_test_evaluates_with_the_knn_hook(trained, call_tool, tmp_path,
                                          capsys):
    checkpoint = trained / 'run' / 'epoch_1.pth'
    call_tool('test', checkpoint, '--work-dir', '.')
    metrics = json.loads((tmp_path / 'test_epoch_1.json').read_text())
    top1 = metrics['metrics']['knn/top1']
    assert metrics['checkpoint'] == str(checkpoint)
    root = (trained / 'data').resolve()
    assert metrics['data'] == dict(
        train=dict(root=f'{root}/train', pictures=8, classes=2),
        test=dict(root=f'{root}/val', pictures=4, classes=2))
    output = capsys.readouterr().out
    assert f'knn/top1: {top1:.4g}\n' in output
    which = (f'kNN: train {root}/train, 8 pictures, 2 classes; '
             f'test {root}/val, 4 pictures, 2 classes')
    assert which in output and which in (trained / 'output.txt').read_text()
    # The same as the run itself measured at its end.
    logged = [
        x['knn/top1'] for x in read_scalars(trained / 'run') if 'knn/top1' in x
    ]
    assert top1 == logged[-1]


def test_test_measures_no_other_pictures_than_the_run(trained, call_tool,
                                                      tmp_path):
    """As the bundled ones of the config that a run on own pictures was
    started with."""
    config = tmp_path / 'bundled.py'
    config.write_text(f'''
_base_ = {str(trained / 'tiny.py')!r}
default_hooks = dict(knn=dict(train_dataset=dict(data_root=''),
                              test_dataset=dict(data_root='')))
''')
    checkpoint = trained / 'run' / 'epoch_1.pth'
    # an option may stand between the two
    line = refusal(call_tool, 'test', config, '--work-dir', '.', checkpoint)
    assert "train_dataset: type='PhotoPatches', split='train' in place" in line
    assert f"data_root='{(trained / 'data').resolve()}'" in line
    assert 'Leave the config out' in line
    # who names them means them
    options = [
        f'default_hooks.knn.{part}_dataset.data_root={trained / "data"}'
        for part in ('train', 'test')
    ]
    call_tool('test', config, checkpoint, '--work-dir', '.', '--cfg-options',
              *options)
    assert (tmp_path / 'test_epoch_1.json').exists()


def test_config_of_a_checkpoint_runs_no_code(call_tool, tmp_path):
    state = {'backbone.conv1.weight': torch.zeros(1)}
    texts = ('open("made", "w")', 'a = open("made", "w")',
             '_base_ = "evil.py"')
    for number, text in enumerate(texts):
        path = tmp_path / f'{number}.pth'
        torch.save(dict(state_dict=state, meta=dict(cfg=text)), path)
        line = refusal(call_tool, 'test', path)
        assert 'line 1 of the config is more than plain data' in line
    assert not (tmp_path / 'made').exists()
    torch.save(dict(state_dict=state), tmp_path / 'a.pth')
    assert 'a.pth holds no config' in refusal(call_tool, 'test', 'a.pth')


def test_test_takes_the_backbone_alone(trained, call_tool, tmp_path):
    whole = torch.load(
        trained / 'run' / 'epoch_1.pth', map_location='cpu', weights_only=True)
    backbone = {
        k: v
        for k, v in whole['state_dict'].items() if k.startswith('backbone.')
    }
    torch.save(dict(state_dict=backbone), tmp_path / 'backbone.pth')
    call_tool('test', trained / 'tiny.py', 'backbone.pth', '--work-dir', '.')
    assert (tmp_path / 'test_backbone.json').exists()


def test_test_refuses_what_is_not_the_models(trained, call_tool, tmp_path):
    state = torch.load(
        trained / 'run' / 'epoch_1.pth', map_location='cpu',
        weights_only=True)['state_dict']
    other = {k: v for k, v in state.items() if not k.startswith('memory.')}
    other['queue'] = torch.zeros(3)
    name = next(k for k in other if k.endswith('conv1.weight'))
    other[name] = torch.zeros(1, 2, 3, 4)
    torch.save(dict(state_dict=other), tmp_path / 'other.pth')
    (tmp_path / 'text.pth').write_text('no checkpoint')

    def refused(checkpoint):
        return refusal(call_tool, 'test', trained / 'tiny.py', checkpoint,
                       '--work-dir', '.')

    line = refused('other.pth')
    assert 'missing (memory.' in line
    assert '1 too many (queue)' in line
    assert f'1 of another shape ({name})' in line
    assert 'not a readable checkpoint' in refused('text.pth')
    assert refused('gone.pth').endswith("'gone.pth': it does not exist")


def test_test_needs_something_to_evaluate_with(trained, call_tool, tmp_path):
    config = tmp_path / 'without_knn.py'
    config.write_text(f'_base_ = {str(trained / "tiny.py")!r}\n'
                      'default_hooks = dict(_delete_=True)\n')
    line = refusal(call_tool, 'test', config, trained / 'run' / 'epoch_1.pth',
                   '--work-dir', '.')
    assert 'neither test_dataloader nor a KNNHook' in line
