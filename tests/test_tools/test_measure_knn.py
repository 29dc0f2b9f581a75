"""A small run of the tool that measures kNN at the size of ImageNet."""
import json

import pytest

from caco_ext.evaluation import knn, nearest


def test_blocks_are_exact(call_tool, capsys, monkeypatch):
    """100 blocks of the bank, 20 of the votes."""
    monkeypatch.setattr(nearest, 'CPU_BYTES', 2 * 4 * 16 * 40)
    call_tool('benchmarks/measure_knn', '--bank', 4000, '--queries', 60,
              '--dim', 16, '--classes', 20, '--sample', 30)
    found = json.loads(capsys.readouterr().out)
    assert found['exact'] and found['k'] == [20, 200]
    (first, five), (many, _) = found['correct']
    # Guesses would be right 3 and 15 times.
    assert 60 > first > 6 and five > 20 and many > 6
    assert found['seconds'] > 0 and found['cpu_seconds'] > 0
    assert found['peak_gib'] > 0.1


def test_a_difference_ends_with_an_error(call_tool, monkeypatch):
    monkeypatch.setattr(knn, 'rank_classes', lambda scores: scores.argsort(1))
    with pytest.raises(SystemExit, match='in float64'):
        call_tool('benchmarks/measure_knn', '--bank', 500, '--queries', 60,
                  '--dim', 16, '--classes', 20, '--k', 20)
