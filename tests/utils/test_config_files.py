"""What is wrong with a config file is said with its name and line."""
import pytest

from caco_ext.utils import UsageError
from caco_ext.utils.config_files import read_config


def refusal(path) -> str:
    with pytest.raises(UsageError) as caught:
        read_config(str(path))
    return str(caught.value)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with sound configs, to be in."""
    (tmp_path / 'caco').mkdir()
    for name in ('caco_8xb128-sym-200e', 'caco_8xb128-sym-800e', 'moco'):
        (tmp_path / 'caco' / f'{name}.py').write_text('a = dict(b=1)\n')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_missing_file_and_its_neighbours(folder):
    assert read_config('caco/moco.py').a.b == 1
    assert refusal('caco/caco_8xb128-sym.py') == (
        'no such config: caco/caco_8xb128-sym.py; nearest in caco: '
        'caco_8xb128-sym-800e.py, caco_8xb128-sym-200e.py')
    assert refusal('cacoo/moco.py') == (
        'no such config: cacoo/moco.py; there is no folder cacoo; nearest in '
        'this folder: caco')
    assert refusal('caco') == (
        'no such config: caco, which is a folder; name a file in it')
    assert refusal('x/y.py') == (
        'no such config: x/y.py; there is no folder x')


@pytest.mark.parametrize('text, line', [
    ('a = 1\nb = dict(c=1\n', "line 2: '(' was never closed"),
    ("_base_ = './caco/moco.py'\nb = _base_.a.c\n",
     "line 2: AttributeError: 'ConfigDict' object has no attribute 'c'"),
    ("_base_ = './caco/mocoo.py'\n",
     '_base_: no such file: {}/caco/mocoo.py; nearest in {}/caco: moco.py'),
    ("_base_ = './caco/moco.py'\na = 1\na = dict(c=d)\n",
     "line 3: NameError: name 'd' is not defined"),
])
def test_what_a_config_has_wrong(folder, text, line):
    (folder / 'a.py').write_text(text)
    (folder / 'b.py').write_text("_base_ = 'a.py'\n")
    line = line.replace('{}', str(folder))
    assert refusal('a.py').startswith('a.py')
    assert refusal('a.py').endswith(line)
    # The file to blame, not the one that inherits it.
    assert refusal('b.py').startswith(f'{folder}/a.py')
    assert refusal('b.py').endswith(line)


def test_a_base_of_the_package(folder):
    (folder / 'a.py').write_text("_base_ = 'caco_ext::selfsup/cacoo/a.py'\n")
    assert refusal('a.py').startswith('a.py: _base_: no such file: ')
    assert refusal('a.py').endswith('configs/selfsup: caco, adco')


def test_custom_imports(folder):
    (folder / 'a.py').write_text("custom_imports = dict(imports=['gone_1'])")
    assert refusal('a.py') == (
        "a.py: custom_imports: ModuleNotFoundError: No module named 'gone_1'; "
        'PYTHONPATH must have the folder of the module')


def test_bases_in_a_circle(folder):
    (folder / 'a.py').write_text("_base_ = 'b.py'\n")
    (folder / 'b.py').write_text("_base_ = ['./a.py']\n")
    assert refusal('a.py').startswith('a.py: _base_ leads back to ')
    assert 'recursion' not in refusal('a.py')
