"""Log lines with names that are no text."""
from mmengine.logging import MMLogger

import caco_ext  # noqa: F401


def test_a_line_with_any_file_name_is_written(tmp_path, capsys):
    logger = MMLogger(
        'odd', logger_name='odd', log_file=str(tmp_path / 'log.txt'))
    logger.warning('caf\udce9.jpg cannot be read')
    assert 'caf\ufffd.jpg cannot' in (tmp_path / 'log.txt').read_text('utf-8')
    shown = capsys.readouterr()
    assert 'caf\ufffd.jpg cannot' in shown.out and not shown.err
