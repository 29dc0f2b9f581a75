"""What the zoo says of the authors' checkpoints can be done."""
import os.path as osp
import shlex

import pytest
import yaml

from caco_ext.utils.config_files import config_path
from tests.helpers import original_checkpoints as originals

# Published files by the READMEs of the authors' code.
PUBLISHED = dict(adco=7, caco=3, clsa=3, care=1)


@pytest.mark.parametrize('method', originals.METHODS)
def test_published_checkpoints_name_page_and_conversion(method):
    metafile = config_path(f'{method}/metafile.yml')
    with open(metafile, encoding='utf-8') as file:
        models = yaml.safe_load(file)['Models']
    root = osp.normpath(osp.join(osp.dirname(metafile), *[osp.pardir] * 3))
    count = 0
    for model in models:
        data = model['Metadata']
        assert osp.isfile(osp.join(root, model['Config'])), model['Name']
        published = data['Original Checkpoint'].startswith('published')
        assert published == ('Conversion' in data) == ('Original Page' in data)
        if published:
            count += 1
            _, tool, *arguments = shlex.split(data['Conversion'])
            assert osp.basename(tool) == 'convert_official.py'
            assert arguments == ['SRC', 'DST', '--config', model['Config']]
            assert model['Results'][0]['Metrics']['Top 1 Accuracy'] > 60
    assert count == PUBLISHED[method]
