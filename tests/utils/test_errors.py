"""Errors end on one line, with the stack in the log."""
import pytest
from mmengine.logging import MMLogger

from caco_ext.utils import UsageError, make_parser, run_tool
from caco_ext.utils.errors import one_line


def end(error, capsys):
    """The line with which a tool ends, and what came before it."""

    def main(args):
        raise error

    parser = make_parser('A tool.')
    parser.prog = 'tool.py'
    with pytest.raises(SystemExit) as caught:
        run_tool(parser, main, [])
    return caught.value.code, capsys.readouterr().err


@pytest.fixture
def log(tmp_path, request):
    """The log file of a run."""
    path = tmp_path / 'run.log'
    MMLogger.get_instance(request.node.name, log_file=str(path))
    yield path
    MMLogger._instance_dict.pop(request.node.name)


@pytest.fixture
def no_log(monkeypatch):
    """No run was begun."""
    monkeypatch.setattr(MMLogger, 'log_file', None)


@pytest.mark.parametrize('error, line', [
    (ValueError('lr=-1;\n  must be\tpositive'), 'lr=-1; must be positive'),
    (KeyError('CaCoo is not in it'), 'CaCoo is not in it'),
    (KeyError('lr'), 'KeyError: lr'),
    (AssertionError(), 'AssertionError: '),
    (FileNotFoundError("no folder 'x'"), "no folder 'x'"),
    (PermissionError(13, 'Permission denied',
                     '/x'), "'/x': Permission denied"),
    (ValueError('a' * 2000), 'a' * 1000 + ' ...'),
])
def test_one_line(error, line):
    assert one_line(error) == line


def test_the_stack_goes_to_the_log(log, capsys):
    log.write_text('before\n')
    line, before = end(IndexError('no row 3'), capsys)
    assert line == f'tool.py: error: IndexError: no row 3; details: {log}'
    assert before == ''
    said = log.read_text()
    assert said.startswith('before\nTraceback')
    assert 'raise error' in said and said.endswith('IndexError: no row 3\n')


def test_wrong_use_has_no_stack(log, capsys):
    assert end(UsageError('no'), capsys) == ('tool.py: error: no', '')
    assert log.read_text() == ''


def test_without_a_log_what_is_not_expected_keeps_its_stack(no_log, capsys):
    line, before = end(IndexError('no row 3'), capsys)
    assert line == 'tool.py: error: IndexError: no row 3'
    assert before.startswith('Traceback') and 'raise error' in before
    line, before = end(OSError(28, 'No space left on device', '/x'), capsys)
    assert line == "tool.py: error: '/x': No space left on device"
    assert before == ''


def test_torchrun_is_told_the_cause(no_log, capsys, tmp_path, monkeypatch):
    from torch.distributed.elastic.multiprocessing.errors import ProcessFailure
    path = tmp_path / 'error.json'
    monkeypatch.setenv('TORCHELASTIC_ERROR_FILE', str(path))
    line, _ = end(UsageError('no'), capsys)
    shown = ProcessFailure(0, 1, 1, str(path)).message
    assert shown['extraInfo']['py_callstack'] == shown['message'] == line


def test_ctrl_c(capsys):
    code, said = end(KeyboardInterrupt(), capsys)
    assert (code, said) == (130, '\ntool.py: interrupted\n')
