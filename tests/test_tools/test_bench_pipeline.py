"""The benchmark of the input pipeline, as a process, on four pictures."""
import json
import os.path as osp

from tests.helpers import ROOT
from tests.helpers.processes import run_tool

CONFIG = osp.join(
    ROOT, 'configs/selfsup/clsa/'
    'clsa_resnet18_1xb64-single-coslr-15e_photopatches.py')


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
    (line, ) = [s for s in out.splitlines() if s.startswith('{')]
    line = json.loads(line)
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
