"""Functions that take the place of a host's."""
import pytest

from caco_ext.utils.patching import replaces


class Host:

    def method(self, n):
        return n

    @classmethod
    def of_class(cls, n):
        return cls, n

    @staticmethod
    def of_none(n):
        return n


class Below(Host):
    """Has what it inherits."""


def add(old, *args):
    return old(*args), 'added'


def mark(old, *args):
    return old(*args), 'marked'


@pytest.mark.parametrize('name, value', [('method', 1),
                                         ('of_class', (Below, 1)),
                                         ('of_none', 1)])
def test_once_each_on_top_of_one_another(monkeypatch, name, value):
    old = vars(Host)[name]
    monkeypatch.setattr(Below, name, old, raising=False)
    for _ in range(2):
        for function in (add, mark):
            assert replaces(Below, name)(function) is function
    assert getattr(Below(), name)(1) == ((value, 'added'), 'marked')
    assert type(vars(Below)[name]) is type(old)
    assert vars(Host)[name] is old
    assert getattr(Below, name).__name__ == name
