"""The hook that runs when Python starts."""
import importlib
import os.path as osp
import subprocess
import sys
import types
from pathlib import Path

import pytest

from caco_ext.utils import startup


@pytest.fixture
def finder(monkeypatch):
    """Install a finder that notes what it is called with."""
    calls = []
    finder = startup.AfterImport({'colorsys': calls.append})
    monkeypatch.setattr(sys, 'meta_path', [finder, *sys.meta_path])
    monkeypatch.delitem(sys.modules, 'colorsys', raising=False)
    return calls


def test_acts_after_the_import_and_after_each_reload(finder):
    module = importlib.import_module('colorsys')
    assert finder == [module]
    assert module.rgb_to_hsv(0, 0, 0) == (0, 0, 0)
    assert type(module.__spec__.loader).__name__ == 'SourceFileLoader'
    importlib.reload(module)
    assert finder == [module, module]


def test_keeps_out_of_other_imports(monkeypatch):
    other = startup.AfterImport({})
    assert other.find_spec('colorsys') is None
    waiting = startup.AfterImport({'no_such_module': print})
    monkeypatch.setattr(sys, 'meta_path', [waiting, *sys.meta_path])
    with pytest.raises(ModuleNotFoundError, match='no_such_module'):
        importlib.import_module('no_such_module')


@pytest.mark.parametrize('reader', startup.READERS)
def test_does_nothing_before_a_reader_is_imported(monkeypatch, reader):
    calls = []
    waiting = startup.AfterImport({'colorsys': calls.append}, startup.READERS)
    monkeypatch.setattr(sys, 'meta_path', [waiting, *sys.meta_path])
    for loaded in (0, 1):
        monkeypatch.delitem(sys.modules, 'colorsys', raising=False)
        importlib.import_module('colorsys')
        assert len(calls) == loaded
        assert waiting.find_spec(reader) is None


def config_module(scope):
    """Something like mmengine.config.config."""

    class Config:

        @staticmethod
        def _get_cfg_path(cfg_path, filename):
            return cfg_path, scope

    return types.SimpleNamespace(Config=Config)


@pytest.mark.parametrize('scope, config, expected', [
    ('caco_ext', 'selfsup/caco/a.py', 'mmselfsup'),
    ('caco_ext', 'benchmarks/classification/imagenet/a.py', 'mmcls'),
    ('caco_ext', 'benchmarks/mmdetection/coco/a.py', 'mmdet'),
    ('caco_ext', 'benchmarks/mmsegmentation/voc12aug/a.py', 'mmseg'),
    ('caco_ext', 'benchmarks/_base_/a.py', None),
    ('mmdet', 'benchmarks/mmsegmentation/a.py', 'mmdet'),
    (None, 'a.py', None),
])
def test_inherited_dicts_are_built_in_the_hosts_scope(monkeypatch, scope,
                                                      config, expected):
    table = {'mmdet': 'mmdet'}
    monkeypatch.setitem(sys.modules, 'mmengine.config.utils',
                        types.SimpleNamespace(MODULE2PACKAGE=table))
    module = config_module(scope)
    startup.adopt_configs(module)
    assert table == {'mmdet': 'mmdet', 'caco_ext': 'caco_ext'}
    name = f'{scope}::{config}'
    assert module.Config._get_cfg_path(name, 'b') == (name, expected)


def test_every_folder_of_benchmarks_has_a_scope():
    root = Path(__file__).parents[1] / 'configs'
    folders = {
        f'{path.relative_to(root)}/'
        for path in (root / 'benchmarks').iterdir()
    }
    assert folders == set(startup.SCOPES)


@pytest.mark.parametrize('there, path', [
    ({'mmcls', 'mmpretrain'}, 'mmcls::a.py'),
    ({'mmpretrain'}, 'mmpretrain::a.py'),
    (set(), 'mmcls::a.py'),
])
def test_configs_of_mmcls_lead_to_its_successor(monkeypatch, there, path):
    monkeypatch.setattr(startup, 'installed', there.__contains__)
    monkeypatch.setitem(sys.modules, 'mmengine.config.utils',
                        types.SimpleNamespace(MODULE2PACKAGE={}))
    module = config_module('x')
    startup.adopt_configs(module)
    assert module.Config._get_cfg_path('mmcls::a.py', 'b')[0] == path
    assert module.Config._get_cfg_path('mmdet::a.py', 'b')[0] == 'mmdet::a.py'


def test_packages_are_found_by_the_names_of_forks(monkeypatch):
    there = {'onedl-mmsegmentation', 'mmdet', 'onedl-mmdet'}
    monkeypatch.setattr(startup, 'distributed', there.__contains__)
    table = dict(mmseg='mmsegmentation', mmdet='mmdet', mmcls='mmcls')
    monkeypatch.setitem(sys.modules, 'mmengine.config.utils',
                        types.SimpleNamespace(MODULE2PACKAGE=table))
    startup.adopt_configs(config_module('x'))
    assert table == dict(
        mmseg='onedl-mmsegmentation',
        mmdet='mmdet',
        mmcls='mmcls',
        caco_ext='caco_ext')


def test_leaves_an_unknown_mmengine_alone(monkeypatch):
    monkeypatch.setitem(sys.modules, 'mmengine.config.utils',
                        types.SimpleNamespace())
    module = config_module('caco_ext')
    startup.adopt_configs(module)
    assert module.Config._get_cfg_path('a', 'b') == ('a', 'caco_ext')


@pytest.mark.parametrize('switch, finders', [('', 1), ('1', 0)])
def test_starting_python_imports_nothing_else(switch, finders):
    code = ('import sys, importlib.util as u;'
            'before, path = set(sys.modules), list(sys.meta_path);'
            's = u.spec_from_file_location("caco_ext_startup", sys.argv[1]);'
            'm = u.module_from_spec(s); s.loader.exec_module(m);'
            'print(sorted(set(sys.modules) - before),'
            'len(sys.meta_path) - len(path))')
    done = subprocess.run([sys.executable, '-I', '-c', code, startup.__file__],
                          env={startup.SWITCH: switch},
                          stdout=subprocess.PIPE,
                          text=True,
                          check=True)
    assert done.stdout.strip() == f'[] {finders}'


@pytest.fixture(scope='module')
def stock_action():
    """mmengine's DictAction as it comes."""
    from mmengine.config import config
    spec = importlib.util.spec_from_file_location('mmengine.config._stock',
                                                  config.__file__)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.DictAction


@pytest.mark.parametrize('text', [
    '1', '-1', '1e-3', '.5', 'nan', 'true', 'False', 'None', '', 'word', 'a=b',
    'a/b.c', '1,2', '1,', '[]', '()', '[1]', '(1,)', '(1,a,None)',
    '[(1,2,3),[a,b],c]', '[[1,2],[3,[4]]]', '"1"', "'word'", '"[a,b]"',
    '[1, 2]', '(1 , 2.5)', ' 3', '/set[old]/x', 'a(b', 'SGD'
])
def test_options_without_blanks_in_words_are_read_as_before(
        stock_action, text):
    expected = stock_action._parse_iterable(text)
    found = startup.parse_value(text, stock_action._parse_int_float_bool)
    assert repr(found) == repr(expected)


@pytest.mark.parametrize('text, value', [
    ('/my pictures/part 2', '/my pictures/part 2'),
    (' two  blanks ', ' two  blanks '),
    ('[/a b, /c  d]', ['/a b', '/c  d']),
    ('/a b,/c d', ['/a b', '/c d']),
    ('"/a, b/c"', '/a, b/c'),
    ('["/a, b", \'c (d\', 3]', ['/a, b', 'c (d', 3]),
    ('"a","b c"', ['a', 'b c']),
    ('/set [a,b]/(x,y) z', '/set [a,b]/(x,y) z'),
    ("/it's/a b", "/it's/a b"),
    ("[it's, Bob's]", ["it's", "Bob's"]),
    ('/a=b/c d', '/a=b/c d'),
    ('/Bilder für später/日本', '/Bilder für später/日本'),
])
def test_options_keep_blanks(stock_action, text, value):
    parse_word = stock_action._parse_int_float_bool
    assert startup.parse_value(text, parse_word) == value


def test_brackets_must_match(stock_action):
    with pytest.raises(ValueError, match=r'do not match in \[1,2; a text'):
        startup.parse_value('[1,2', stock_action._parse_int_float_bool)
    assert startup.parse_value('"a(b,c"', str) == 'a(b,c'


def test_a_stock_trainer_keeps_blanks():
    """It reads its command line before any config imports caco_ext."""
    import mmselfsup
    tool = osp.join(osp.dirname(mmselfsup.__file__), '.mim/tools/train.py')
    code = (
        'import sys, runpy, importlib.util as u;'
        # not the one of this environment, which may be older
        'sys.meta_path = [f for f in sys.meta_path'
        ' if type(f).__name__ != "AfterImport"];'
        's = u.spec_from_file_location("caco_ext_startup", sys.argv.pop(1));'
        'm = u.module_from_spec(s); s.loader.exec_module(m);'
        'tool = sys.argv.pop(1);'
        'args = runpy.run_path(tool, run_name="tool")["parse_args"]();'
        'print(args.cfg_options, "caco_ext" in sys.modules)')
    done = subprocess.run([
        sys.executable, '-c', code, startup.__file__, tool, 'c.py',
        '--cfg-options', 'a.b=/my data/x', 'c=[1, 2]'
    ],
                          stdout=subprocess.PIPE,
                          text=True,
                          check=True)
    assert done.stdout.strip() == str({
        'a.b': '/my data/x',
        'c': [1, 2]
    }) + ' False'
