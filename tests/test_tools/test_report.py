"""report.py, embed.py, attention.py and browse_views.py on a tiny run."""
import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from caco_ext.evaluation import KNNFeatures
from caco_ext.visualization import open_features, read_run, write_report
from tests.helpers.processes import run_tool

pytestmark = pytest.mark.slow

TOOLS = 'analysis_tools/'


@pytest.fixture
def run(trained, tmp_path):
    """A copy of the session's run, which a test may change."""
    shutil.copytree(trained / 'run', tmp_path / 'run')
    return tmp_path / 'run'


def colours(path):
    """Number of colours of a picture: a blank one has few."""
    with Image.open(path) as picture:
        return len(picture.convert('RGB').getcolors(2**24))


def test_report(run, call_tool, tmp_path, capsys):
    before = sorted(str(p) for p in run.rglob('*'))
    call_tool(f'{TOOLS}report', run, '-o', 'report.html', '--embedding', 'pca')
    assert capsys.readouterr().out.endswith('report: report.html\n')
    assert sorted(str(p) for p in run.rglob('*')) == before
    text = (tmp_path / 'report.html').read_text()
    titles = re.findall(r'<h2>(.*?)</h2>', text)
    assert titles == [
        'Overview', 'Curves', 'Neighbours', 'Embedding', 'Memory',
        'Where it looks', 'Views', 'Downstream', 'Config',
        'Versions and machine'
    ]
    assert 'Not shown: ' not in text
    specs = re.findall(r'id="plot\d+-data">(.*?)</script>', text)
    assert len(specs) >= 12
    for spec in specs:
        traces = json.loads(spec)['data']
        assert traces and all(len(trace['y']) > 0 for trace in traces)
    pictures = [
        text[text.index(f'<h2>{title}'):].count('<figure')
        for title in ('Neighbours', 'Where it looks', 'Views', 'Downstream')
    ]
    # 4 queries with neighbours, 4 pictures looked at, 8 with two views
    assert [a - b for a, b in zip(pictures, pictures[1:])] == [24, 12, 24]
    # what the run noted, and the two options that it was started with
    assert 'epoch length' in text
    assert '<td>model.memory.num_columns</td><td>1024</td><td>32' in text
    assert '1 of 1 epochs' in text
    assert text.count('Made from epoch_1.pth, after 1 epoch.') == 4
    assert '% (epoch 1)</td>' in text


def test_training_removes_the_checkpoint_meanwhile(run, tmp_path):
    log = read_run(str(run))
    features = open_features(log)
    for path in run.glob('*.pth'):
        path.unlink()
    path = write_report([log], [features], str(tmp_path / 'r.html'))
    with open(path) as file:
        assert 'Not shown: ' not in file.read()


def test_several_runs_as_markdown(run, call_tool, tmp_path):
    # the second one has begun, and saved nothing yet
    going = tmp_path / 'going'
    nothing = shutil.ignore_patterns('*.pth', 'last_checkpoint')
    shutil.copytree(run, going, ignore=nothing)
    config, = going.glob('*/vis_data/config.py')
    config.write_text(config.read_text().replace('max_epochs=1',
                                                 'max_epochs=9'))
    call_tool(f'{TOOLS}report', run, going, '--format', 'md', '-o', 'pr.md',
              '--embedding', 'pca')
    text = (tmp_path / 'pr.md').read_text()
    assert '| run | 1 of 1 epochs |' in text
    assert '| going | 1 of 9 epochs, unfinished |' in text
    assert text.count('The run has saved no checkpoint yet.') == 4
    assert text.count('\n# run\n') == text.count('\n# going\n') == 1
    links = re.findall(r'!\[.*?\]\((.*?)\)', text)
    assert len(links) == len(set(links)) >= 8
    for link in links:
        assert colours(tmp_path / link) > 30, link


def test_report_of_nothing(run, call_tool, tmp_path):
    with pytest.raises(SystemExit, match='no logged losses'):
        call_tool(f'{TOOLS}report', tmp_path, '-o', 'no.html')
    for tool in ('report', 'plot_run', 'embed'):
        with pytest.raises(
                SystemExit,
                match='error: rum does not exist; name '
                f'the work folder of a training, as {run}$'):
            call_tool(TOOLS + tool, 'rum')
        with pytest.raises(SystemExit, match='epoch_1.pth is a file; name'):
            call_tool(TOOLS + tool, run / 'epoch_1.pth')
    with pytest.raises(SystemExit, match='there is no folder'):
        call_tool(f'{TOOLS}report', run, '-o', 'gone/no.html')
    with pytest.raises(SystemExit, match='--base: no such file'):
        call_tool(f'{TOOLS}report', run, '--base', 'gone.py')
    with pytest.raises(SystemExit, match='goes with one WORK_DIR, got 2'):
        call_tool(f'{TOOLS}report', run, run, '--checkpoint', 'x')
    for path, what in ((run / 'epoch_1.pth', 'itself, which would be lost'),
                       ('/dev/full', 'is a device'), ('.', 'is a folder')):
        with pytest.raises(SystemExit, match=what):
            call_tool(f'{TOOLS}report', run, '-o', path)
    assert not list(tmp_path.glob('*.html'))


def test_damaged_checkpoint_costs_its_panels_only(run, call_tool, tmp_path):
    (run / 'epoch_1.pth').write_bytes(b'no checkpoint')
    (run / KNNFeatures.file_name).write_bytes(b'no features')
    scalars, = run.glob('*/vis_data/scalars.json')
    scalars.write_bytes(b'\0\0\n' + scalars.read_bytes() + b'{"loss": ')
    call_tool(f'{TOOLS}report', run, '-o', 'r.html', '--embedding', 'pca')
    text = (tmp_path / 'r.html').read_text()
    assert text.count('Not shown: ') == 4
    assert 'Training loss' in text and 'The whole config' in text


def test_embed_keeps_features(run, call_tool, tmp_path, monkeypatch):
    (run / KNNFeatures.file_name).unlink()  # the run's own need no cache
    call_tool(f'{TOOLS}embed', run, '--method', 'tsne', '-o', 'e.png')
    assert colours('e.png') > 30
    kept, = (run / 'features').iterdir()
    assert kept.name.startswith('epoch_1_test_')
    with np.load(kept) as file:
        assert file['pooled'].shape == (4, 128)

    def no_second_time(*args, **kwargs):
        raise AssertionError('features were extracted again')

    monkeypatch.setattr(
        'caco_ext.visualization.run_features.'
        'features_and_labels', no_second_time)
    call_tool(f'{TOOLS}embed', run, '--method', 'pca')
    text = (tmp_path / 'embedding.html').read_text()
    assert '4 pictures of the test set' in text and 'data-sheet' in text
    # another checkpoint has other features
    shutil.copy(run / 'epoch_1.pth', run / 'other.pth')
    with pytest.raises(SystemExit, match='again'):
        call_tool(f'{TOOLS}embed', run, '--checkpoint', run / 'other.pth')
    with pytest.raises(SystemExit, match='must end in .html or .png'):
        call_tool(f'{TOOLS}embed', run, '-o', 'e.pdf')


def test_attention(trained, call_tool, tmp_path):
    checkpoint, folder = trained / 'run' / 'epoch_1.pth', trained / 'data'
    call_tool(f'{TOOLS}attention', checkpoint, folder, '--size', '64',
              '--pictures', '3')
    assert colours('attention.png') > 1000
    (tmp_path / 'bad.png').write_bytes(b'no picture')
    with pytest.raises(
            SystemExit,
            match=f'is a folder; name a file in it, as {checkpoint}'):
        call_tool(f'{TOOLS}attention', checkpoint.parent, folder)
    (tmp_path / 'empty').mkdir()
    picture = next((folder / 'val').rglob('*.png'))
    with pytest.raises(SystemExit, match='itself, which would be lost'):
        call_tool(f'{TOOLS}attention', checkpoint, picture, '-o', picture)
    for arguments, message in ((('empty', ), 'empty has no pictures'),
                               (('gone.png', ), 'no such picture: gone.png'),
                               (('bad.png', ), 'bad.png'),
                               ((folder, '--place', '2', '0'),
                                'shares from 0 to 1'), ((folder, '--pictures',
                                                         '0'),
                                                        'must be at least 1')):
        with pytest.raises(SystemExit, match=message):
            call_tool(f'{TOOLS}attention', checkpoint, *arguments)


def test_browse_views(trained, tmp_path):
    output = run_tool(
        f'{TOOLS}browse_views.py',
        trained / 'tiny.py',
        '--pictures',
        '2',
        '-o',
        'v.png',
        cwd=tmp_path)
    assert output.endswith('views: v.png\n')
    assert colours(tmp_path / 'v.png') > 1000
    output = run_tool(
        f'{TOOLS}browse_views.py',
        trained / 'tiny.py',
        '--epoch',
        '0',
        cwd=tmp_path,
        fails=True)
    assert '--epoch 0 must be at least 1' in output
