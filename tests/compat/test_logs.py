"""Log lines with names that are no text, and long histories."""
import copy
import inspect
import pickle

import numpy as np
import pytest
from mmengine.logging import HistoryBuffer, MMLogger

import caco_ext  # noqa: F401


def test_a_line_with_any_file_name_is_written(tmp_path, capsys):
    logger = MMLogger(
        'odd', logger_name='odd', log_file=str(tmp_path / 'log.txt'))
    logger.warning('caf\udce9.jpg cannot be read')
    assert 'caf\ufffd.jpg cannot' in (tmp_path / 'log.txt').read_text('utf-8')
    shown = capsys.readouterr()
    assert 'caf\ufffd.jpg cannot' in shown.out and not shown.err


def assert_equal_histories(one, other):
    for mine, theirs in zip(one.data, other.data):
        assert mine.dtype == theirs.dtype
        assert mine.tolist() == theirs.tolist()


@pytest.mark.parametrize('start, longest', [(0, 10**6), (0, 700), (5, 3000)])
def test_histories_are_those_of_the_host(start, longest):
    """Also of whole numbers, and where old values are dropped."""
    append = inspect.unwrap(HistoryBuffer.update)
    ours, theirs = (
        HistoryBuffer(range(start), [1] * start, longest) for _ in range(2))
    for n in range(4000):
        value = n if n < 2000 else n / 7
        ours.update(value, 1 + n % 3)
        append(theirs, value, 1 + n % 3)
        if n % 500 in (0, 1):
            assert_equal_histories(ours, theirs)
        if n == 2500:  # as a resumed run does
            ours = pickle.loads(pickle.dumps(ours))
        if n == 3000:  # a copy has its own history
            copies = [copy.copy(ours), copy.deepcopy(ours)]
    assert_equal_histories(ours, theirs)
    assert ours.mean(50) == theirs.mean(50)
    for one in copies:
        one.update(-1.)
        ours.update(-2.)
        assert one.current() == -1 and ours.current() == -2


def test_histories_are_copied_seldom(monkeypatch):
    copied = []
    append = np.append
    monkeypatch.setattr(np, 'append',
                        lambda *args: copied.append(1) or append(*args))
    buffer = HistoryBuffer()
    for _ in range(20000):
        buffer.update(1.5)
    # Both histories; the host does it 20,000 times.
    assert len(copied) <= 2 * 10
    # The free places are not saved.
    assert len(pickle.dumps(buffer)) < 20000 * 16 + 1000


def test_only_numbers_are_logged():
    buffer = HistoryBuffer()
    buffer.update(1.)
    with pytest.raises(TypeError, match='log_val must be int or float'):
        buffer.update('2')
    assert buffer.data[0].tolist() == [1.]
