"""Linear evaluation on small data sets: divisions, numbers, reuse, errors."""
import json
import os
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from PIL import Image
from sklearn.linear_model import LogisticRegression

from caco_ext.transfer.frozen import RANDOM, FrozenBackbone, make_random
from caco_ext.transfer.manyset import choose_sets
from caco_ext.transfer.manyset_data import SETS, default_root, open_parts
from caco_ext.transfer.manyset_probe import PREPROCESSOR, ManySets
from caco_ext.utils import UsageError
from tests.datasets.test_containers import write_parquet
from tests.helpers.benchmark_runs import results
from tests.helpers.picture_files import encode, noise
from tests.helpers.processes import run_tool

SIZE = 16
LOAD = [dict(type='LoadImage')]


def picture(label, seed):
    """Noise whose brightness tells a little of the class."""
    pixels = np.asarray(noise(seed, (SIZE, SIZE)), dtype=int)
    return Image.fromarray((pixels // 2 + 12 * label).astype(np.uint8))


def save(path, label, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    picture(label, seed).save(path)


def make_folders(root, counts):
    """Class folders; ``counts`` are pictures of each class by part."""
    for part, numbers in counts.items():
        for label, count in enumerate(numbers):
            for i in range(count):
                seed = 1000 * label + i + 100000 * (part == 'test')
                save(root / part / f'class{label}' / f'{i:02d}.png', label,
                     seed)
    return str(root)


def make_dtd(root, count=6):
    """DTD as torchvision keeps it: two classes, ten divisions."""
    labels = root / 'dtd' / 'dtd' / 'labels'
    labels.mkdir(parents=True)
    for number in (1, 2):
        for k, part in enumerate(('train', 'val', 'test')):
            lines = []
            for label, name in enumerate(('banded', 'zigzagged')):
                for i in range(count):
                    # The second division has the pictures in another order.
                    file = f'{name}/{name}_{(k * count + i) * number:04d}.jpg'
                    lines.append(f'{file}\n')
                    save(labels.parent / 'images' / file, label, i)
            (labels / f'{part}{number}.txt').write_text(''.join(lines))


def names(part):
    """The names of the files of a part."""
    files = part.dataset.container.files()
    return [os.path.basename(files[i]) for i in part.indices]


def test_a_published_division_is_used(tmp_path):
    make_dtd(tmp_path)
    parts = open_parts('dtd', default_root('dtd', str(tmp_path)), LOAD)
    assert parts.split == 'train, val, test'
    for k, part in enumerate((parts.train, parts.val, parts.test)):
        assert names(part) == [
            f'{name}_{6 * k + i:04d}.jpg' for name in ('banded', 'zigzagged')
            for i in range(6)
        ]
        assert part.labels.tolist() == [0] * 6 + [1] * 6


def test_own_folders_and_shards(tmp_path):
    root = make_folders(tmp_path / 'a', dict(train=(4, 3), test=(2, 5)))
    parts = open_parts('mine', root, LOAD)
    assert parts.val is None and parts.split == 'train, test'
    assert np.bincount(parts.train.labels).tolist() == [4, 3]
    assert np.bincount(parts.test.labels).tolist() == [2, 5]
    # A class that the test part lacks does not shift the labels.
    (tmp_path / 'b').mkdir()
    pictures = [encode(noise(i), 'png') for i in range(6)]
    write_parquet(tmp_path / 'b' / 'train-0.parquet', pictures,
                  [0, 1, 2, 0, 1, 2], ['ant', 'bee', 'cow'])
    write_parquet(tmp_path / 'b' / 'test-0.parquet', pictures[:2], [2, 1],
                  ['ant', 'bee', 'cow'])
    parts = open_parts('mine', str(tmp_path / 'b'), LOAD)
    assert parts.train.labels.tolist() == [0, 1, 2, 0, 1, 2]
    assert parts.test.labels.tolist() == [2, 1]


def test_wrong_roots(tmp_path):
    make_folders(tmp_path / 'a', {'.': (3, 3)})
    with pytest.raises(ValueError, match='has no parts; make folders or fil'):
        open_parts('mine', str(tmp_path / 'a'), LOAD)
    with pytest.raises(FileNotFoundError, match='gone'):
        open_parts('mine', str(tmp_path / 'gone'), LOAD)
    root = make_folders(tmp_path / 'b', dict(train=(3, 3), test=(1, 1, 1)))
    with pytest.raises(ValueError, match="the test part, 'class2' first, do "):
        open_parts('mine', root, LOAD)
    root = make_folders(tmp_path / 'c', dict(train=(3, ), test=(1, )))
    with pytest.raises(ValueError, match='one class alone') as error:
        open_parts('mine', root, LOAD)
    assert 'KNN' not in str(error.value)


def test_caltech_takes_thirty_of_each_class(tmp_path):
    folder = tmp_path / 'caltech101' / '101_ObjectCategories'
    counts = dict(BACKGROUND_Google=3, ant=32, bass=35)
    for label, (name, count) in enumerate(counts.items()):
        for i in range(count):
            save(folder / name / f'image_{i + 1:04d}.jpg', label, i)
    root = default_root('caltech101', str(tmp_path))
    parts = open_parts('caltech101', root, LOAD)
    assert np.bincount(parts.train.labels).tolist() == [30, 30]
    assert np.bincount(parts.test.labels).tolist() == [2, 5]
    both = np.concatenate([parts.train.indices, parts.test.indices])
    assert sorted(both) == list(range(67))
    assert parts.split == ('30 of each class at random (seed 0), the rest for '
                           'the test')
    again = open_parts('caltech101', root, LOAD)
    assert again.train.indices.tolist() == parts.train.indices.tolist()
    assert parts.train.indices.tolist() != [*range(30), *range(32, 62)]
    for i in (31, 32):
        (folder / 'ant' / f'image_{i:04d}.jpg').unlink()
    with pytest.raises(ValueError, match="'ant' .* has 30 pictures; 30 for"):
        open_parts('caltech101', root, LOAD)


def test_sun397_is_divided_by_its_lists(tmp_path):
    root = default_root('sun397', str(tmp_path))
    with pytest.raises(FileNotFoundError) as error:
        open_parts('sun397', root, LOAD)
    lists = tmp_path / 'sun397_partitions'
    assert str(error.value) == (
        f"the lists of SUN397 are missing: '{lists}/Training_01.txt'; unpack "
        'https://vision.princeton.edu/projects/2010/SUN/download/'
        f"Partitions.zip into '{lists}'")
    places = ('a/abbey', 'b/bar')
    for label, place in enumerate(places):
        for i in range(5):
            save(tmp_path / 'SUN397' / place / f'sun_{i}.jpg', label, i)
    (tmp_path / 'SUN397/ClassName.txt').write_text('/a/abbey\n/b/bar\n')
    lists.mkdir()
    for name, chosen in (('Training', (0, 3)), ('Testing', (1, 4))):
        (lists / f'{name}_01.txt').write_text(''.join(f'/{place}/sun_{i}.jpg\n'
                                                      for place in places
                                                      for i in chosen))
    parts = open_parts('sun397', root, LOAD)
    for part, chosen in ((parts.train, (0, 3)), (parts.test, (1, 4))):
        assert sorted(names(part)) == sorted(f'sun_{i}.jpg'
                                             for i in chosen * 2)
        assert np.bincount(part.labels).tolist() == [2, 2]
    (tmp_path / 'SUN397/b/bar/sun_4.jpg').unlink()
    with pytest.raises(FileNotFoundError, match='1 of the 4 pictures of Test'):
        open_parts('sun397', root, LOAD)


def test_cars_are_read_although_torchvision_cannot_fetch_them(tmp_path):
    from scipy.io import savemat
    folder = tmp_path / 'stanford_cars'
    root = default_root('cars', str(tmp_path))
    with pytest.raises(FileNotFoundError) as error:
        open_parts('cars', root, LOAD)
    assert 'torchvision cannot fetch it; put there: stanford_cars/cars_tra' \
        in str(error.value)
    (folder / 'devkit').mkdir(parents=True)
    savemat(folder / 'devkit/cars_meta.mat',
            dict(class_names=np.array(['Audi', 'BMW'], dtype=object)))
    for part, file in (('train', 'devkit/cars_train_annos.mat'),
                       ('test', 'cars_test_annos_withlabels.mat')):
        rows = [(f'{i}.jpg', i % 2 + 1) for i in range(4)]
        for name, label in rows:
            save(folder / f'cars_{part}' / name, label, 0)
        annotations = np.array(rows, dtype=[('fname', 'O'), ('class', 'O')])
        savemat(folder / file, dict(annotations=annotations))
    parts = open_parts('cars', root, LOAD)
    assert parts.val is None
    assert parts.test.labels.tolist() == [0, 1, 0, 1]
    assert parts.train.dataset.metainfo['classes'] == ('Audi', 'BMW')


@pytest.mark.parametrize('options, message', [
    (dict(datasets='cifar1O'), r"no data set 'cifar1O' \(nearest: cifar10"),
    (dict(datasets='dtd', data=['a=b']), 'leaves out what --data names: a'),
    (dict(datasets=','), 'names no data set'),
    (dict(data=['cifar10']), '--data cifar10: write NAME=ROOT'),
    (dict(data=['a/b=c']), '--data a/b=c: write NAME=ROOT'),
])
def test_wrong_choices(options, message):
    args = dict(datasets=None, data=[], root='data')
    with pytest.raises(UsageError, match=message):
        choose_sets(SimpleNamespace(**{**args, **options}))


def test_choices():

    def choose(datasets, *data):
        return choose_sets(
            SimpleNamespace(datasets=datasets, data=data, root='~/d'))

    home = os.path.expanduser('~')
    assert choose(None) == {
        name: f'torchvision:{one.source}:{home}/d'
        for name, one in SETS.items()
    }
    assert choose(None, 'a=x=y') == dict(a='x=y')
    assert choose('dtd,a', 'a=x') == dict(
        dtd=f'torchvision:DTD:{home}/d', a='x')
    # Kornblith et al., SimCLR's appendix B.8
    assert [n for n, one in SETS.items() if one.metric == 'mean_class'
            ] == ['aircraft', 'pets', 'flowers', 'caltech101']


@pytest.mark.slow
def test_random_networks_are_always_the_same():
    state = torch.get_rng_state()
    first, proof = make_random('random-resnet18')
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(5)
    second, again = make_random('random-resnet18')
    assert proof == again and proof['architecture'] == 'ResNet-18'
    assert proof['sha256'] != make_random('random-resnet34')[1]['sha256']
    assert RANDOM['random'] == 50
    for name, value in first.weights.items():
        assert torch.equal(value, second.weights[name])
    # Kaiming's initialisation.
    weight = first.weights['layer4.1.conv2.weight']
    assert weight.std() == pytest.approx((2 / (512 * 9))**0.5, rel=0.01)


@pytest.fixture(scope='module')
def backbone():
    init_default_scope('mmcls')
    return FrozenBackbone('random-resnet18', PREPROCESSOR).eval()


def sets_of(backbone, folder, size=SIZE):
    args = SimpleNamespace(size=size, batch_size=8, num_workers=0)
    return ManySets(backbone, str(folder), args)


@pytest.mark.slow
@pytest.mark.parametrize('name', ['flowers', 'food101'])
def test_numbers_are_those_of_scikit_learn(backbone, tmp_path, name):
    """With a validation part, of unbalanced classes."""
    root = make_folders(tmp_path / 'data',
                        dict(train=(20, 6, 4), val=(5, 3, 2), test=(16, 4, 4)))
    work = tmp_path / 'work'
    sets = sets_of(backbone, work)
    assert sets.measure(name, root)
    found = results(work)
    entry = found['datasets'][name]
    kept = {}
    for part, file in entry['features'].items():
        with np.load(work / 'features' / file) as content:
            kept[part] = content['features'], content['labels']
    assert entry['pictures'] == dict(train=30, val=10, test=24)
    assert entry['classes'] == 3 and entry['size'] == SIZE
    assert entry['data'] == root and entry['split'] == 'train, val, test'

    def predict(c, parts, x):
        known = np.concatenate([kept[part][0] for part in parts])
        labels = np.concatenate([kept[part][1] for part in parts])
        mean, std = known.mean(0), known.std(0)
        std = np.where(std > 0, std, 1)  # of a channel that is always 0
        model = LogisticRegression(C=c, max_iter=1000)
        model.fit((known - mean) / std, labels)
        return model.predict((x - mean) / std)

    grid = 10.**np.arange(-6, 2.5, 0.5)
    x, truth = kept['val']
    scores = [(predict(c, ('train', ), x) == truth).mean() for c in grid]
    assert len(set(scores)) > 1
    assert entry['c'] == pytest.approx(grid[np.argmax(scores)], rel=0.01)
    x, truth = kept['test']
    right = predict(entry['c'], ('train', 'val'), x) == truth
    top1 = 100 * right.mean()
    mean_class = 100 * np.mean([right[truth == k].mean() for k in range(3)])
    assert abs(top1 - mean_class) > 2
    assert entry['top1'] == pytest.approx(top1)
    assert entry['mean_class'] == pytest.approx(mean_class)
    expected = mean_class if name == 'flowers' else top1
    assert found['metrics'] == {name: pytest.approx(expected)}
    assert found['checkpoint'] == backbone.proof
    row = [
        line for line in sets.table().splitlines()
        if line.startswith(f'| {name} |')
    ]
    assert row[0].startswith(f'| {name} | {expected:.2f} | ')
    assert '| 3 | 30 + 10 | 24 | train, val, test |' in row[0]


@pytest.mark.slow
def test_features_are_reused(backbone, tmp_path, monkeypatch):
    root = make_folders(tmp_path / 'a', dict(train=(9, 8), test=(4, 4)))
    work = tmp_path / 'work'
    assert sets_of(backbone, work).measure('a', root)
    before = results(work)
    seen = []
    forward = backbone.backbone.forward
    monkeypatch.setattr(backbone.backbone, 'forward',
                        lambda x: seen.append(len(x)) or forward(x))
    assert not sets_of(backbone, work).measure('a', root)
    assert results(work) == before and not seen
    # Without its result, the features are still there.
    (work / 'results.json').unlink()
    assert sets_of(backbone, work).measure('a', root)
    assert results(work) == before and not seen
    # One picture changes: only its part is read again.
    save(tmp_path / 'a/test/class0/99.png', 0, 99)
    assert sets_of(backbone, work).measure('a', root)
    assert sum(seen) == 9
    assert results(work)['datasets']['a']['pictures']['test'] == 9
    # Another data set is added to the table.
    other = make_folders(tmp_path / 'b', dict(train=(9, 8), test=(4, 4)))
    sets = sets_of(backbone, work)
    assert sets.measure('cifar10', other)
    assert list(results(work)['datasets']) == ['cifar10', 'a']
    assert sets.table().index('| cifar10 |') < sets.table().index('| a |')
    # Another size is another table.
    with pytest.raises(UsageError, match='16 px, and not of .* 32 px; name'):
        sets_of(backbone, work, 32)
    assert list(results(work)['datasets']) == ['cifar10', 'a']


@pytest.mark.slow
def test_parquet_that_changes_is_read_again(backbone, tmp_path):
    """The names of its rows stay the same."""
    for part in ('train', 'test'):
        write_parquet(tmp_path / f'{part}-0.parquet',
                      [encode(picture(i % 2, i), 'png') for i in range(12)],
                      [i % 2 for i in range(12)])
    sets = sets_of(backbone, tmp_path / 'work')
    assert sets.measure('cifar10', str(tmp_path))
    assert not sets.measure('cifar10', str(tmp_path))
    write_parquet(tmp_path / 'test-0.parquet',
                  [encode(picture(i % 2, i + 50), 'png') for i in range(12)],
                  [i % 2 for i in range(12)])
    assert sets.measure('cifar10', str(tmp_path))


def end(call_tool, *arguments):
    """The line with which the tool ends."""
    with pytest.raises(SystemExit) as caught:
        call_tool('benchmarks/manyset/test_manyset', *arguments)
    return str(caught.value.code)


@pytest.mark.slow
def test_what_is_missing_is_named_and_the_others_go_on(tmp_path, call_tool,
                                                       capsys):
    root = make_folders(tmp_path / 'a', dict(train=(9, 8), test=(4, 4)))
    work = tmp_path / 'work'
    line = end(call_tool, 'random-resnet18', '--datasets',
               'sun397,a,cars', '--data', f'a={root}', '--root',
               str(tmp_path / 'data'), '--size', '16', '--num-workers', '0',
               '--work-dir', str(work))
    assert line.endswith(
        'error: not measured: sun397, cars; the '
        'lines above say why. The same command measures them once '
        'that is mended')
    shown = capsys.readouterr()
    said = [x for x in (shown.out + shown.err).splitlines() if 'ERROR' in x]
    assert len(said) == 2
    assert 'sun397: the lists of SUN397 are missing' in said[0]
    assert 'cars: ' in said[1] and 'put there: stanford_cars/' in said[1]
    found = results(work)
    assert list(found['datasets']) == ['a']
    accuracy = found['metrics']['a']
    table = (work / 'table.md').read_text()
    assert f'| a | {accuracy:.2f} | top1 |' in table and table in shown.out


@pytest.mark.parametrize('arguments, message', [
    (['gone.pth'], "'gone.pth'"),
    (['random', '--part', 'backbone_k'
      ], 'random is an untrained network; --p'),
    (['random', '--size', '0'], '--size 0 must be at least 1'),
    (['random', '--num-workers', '-1'], '--num-workers -1 must be at least 0'),
])
def test_wrong_use_ends_with_one_line(call_tool, tmp_path, arguments, message):
    line = end(call_tool, *arguments)
    assert message in line and '\n' not in line
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_command(tmp_path):
    """As a user types it; the folder is named after what is measured."""
    root = make_folders(tmp_path / 'a', dict(train=(9, 8), test=(4, 4)))
    output = run_tool(
        'benchmarks/manyset/run.sh',
        'random-resnet18',
        '--data',
        f'pets={root}',
        '--size',
        16,
        '--num-workers',
        0,
        cwd=tmp_path)
    folder, = (tmp_path / 'work_dirs/benchmarks/manyset').iterdir()
    content = json.loads((folder / 'results.json').read_text())
    digest = content['checkpoint']['sha256']
    assert folder.name == f'random-resnet18-{digest[:8]}-16px'
    assert (folder / 'table.md').read_text() in output
    assert content['task'] == 'manyset'
    assert content['metrics']['pets'] == content['datasets']['pets'][
        'mean_class']
    table = run_tool('analysis_tools/collect_results.py', '.', cwd=tmp_path)
    assert f'| {content["metrics"]["pets"]:.2f} |' in table
