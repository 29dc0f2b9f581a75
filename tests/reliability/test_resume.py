"""A run that is stopped and resumed equals one that never was, bit by bit."""
import signal

import pytest

from .runs import METHODS, assert_same, in_child, read, stopped, train

# The fill takes 5 steps, an epoch 3 iterations.
MOMENTS = [('fill', 2), ('fill', 4), ('iter', 1), ('iter', 3), ('epoch', 1),
           ('iter', 5), ('iter', 9)]


@pytest.mark.parametrize('method', METHODS)
def test_sigterm_at_any_moment(method, data, reference, tmp_path):
    for moment, number in MOMENTS:
        if moment == 'fill' and method in ('CLSA', 'CARE'):
            continue
        folder = tmp_path / f'{moment}{number}'
        told = dict(type='ReliabilitySignal', moment=moment, number=number)
        status = stopped(data, folder, method, [told])
        assert status == 128 + signal.SIGTERM, (moment, number)
        assert (folder / 'stopped.pth').exists()
        # the same command, without --resume
        train(data, folder, method)
        assert_same(folder, reference(method))
        assert not (folder / 'stopped.pth').exists()
