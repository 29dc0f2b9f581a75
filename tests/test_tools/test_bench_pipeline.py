"""The benchmark of the input pipeline, as a process, on four pictures."""
import json
import os
import os.path as osp

import numpy as np
import pytest
from PIL import Image

from tests.helpers import ROOT
from tests.helpers.processes import run_tool

CONFIG = osp.join(
    ROOT, 'configs/selfsup/clsa/'
    'clsa_resnet18_1xb64-single-coslr-15e_photopatches.py')


def lines_of(out):
    """The JSON lines that the tool printed."""
    return [json.loads(s) for s in out.splitlines() if s.startswith('{')]


@pytest.mark.slow
def test_line_of_the_pipeline_benchmark(tmp_path):
    out = run_tool(
        'benchmarks/speed/bench_pipeline.py',
        CONFIG,
        '--images',
        str(tmp_path / 'pictures'),
        '--make',
        '4',
        '--size',
        '60',
        '40',
        '--seconds',
        '.05',
        '--rounds',
        '2',
        '--backends',
        'fast',
        'pillow',
        '--reference',
        cwd=tmp_path)
    (line, ) = lines_of(out)
    assert line['images'] == str(tmp_path / 'pictures')
    assert line['pictures'] == 4 and line['rounds'] == 2
    assert line['views'] == [[3, 48, 48], [3, 48, 48], [3, 32, 32]]
    results = line['results']
    assert set(results) == {'fast', 'pillow', 'reference', 'LoadImage alone'}
    for result in results.values():
        for clock in ('images_per_second', 'images_per_cpu_second'):
            rate = result[clock]
            assert 0 < rate['min'] <= rate['median'] <= rate['max']
    for backend in ('fast', 'pillow'):
        share = results[backend]['share']
        assert {
            'LoadImage', 'ViewRandomResizedCrop', 'ViewColorJitter',
            'StrongAugment', 'PackSelfSupInputs', 'rest'
        } <= set(share)
        assert abs(sum(share.values()) - 1) < .02


@pytest.mark.slow
def test_shrunk_pictures_are_measured_beside_the_originals(tmp_path):
    pictures, small = str(tmp_path / 'pictures'), str(tmp_path / 'small')
    os.makedirs(pictures)
    rng = np.random.RandomState(0)
    for i in range(4):
        Image.fromarray(rng.randint(0, 256, (600, 900, 3), np.uint8)).save(
            osp.join(pictures, f'{i}.jpg'), quality=95)
    run_tool(
        'dataset_converters/pack.py',
        pictures,
        small,
        *('--to', 'folder', '--short-side', '64', '--quiet'),
        cwd=tmp_path)
    out = run_tool(
        'benchmarks/speed/bench_pipeline.py',
        CONFIG,
        *('--images', pictures, small, '--seconds', '.3', '--rounds', '1'),
        cwd=tmp_path)
    lines = lines_of(out)
    assert [line['images'] for line in lines] == [pictures, small]
    assert lines[0]['bytes_per_picture'] > 20 * lines[1]['bytes_per_picture']
    # 88 times as many pixels to decode
    original, shrunk = (
        line['results']['LoadImage alone']['images_per_cpu_second']['median']
        for line in lines)
    assert shrunk > 3 * original
