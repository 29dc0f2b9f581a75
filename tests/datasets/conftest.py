"""Small picture folders for the tests."""
import logging

import pytest
from mmengine.logging import MMLogger

from tests.helpers.picture_files import noise


@pytest.fixture
def flat(tmp_path):
    """Folder with six pictures and no subfolder."""
    folder = tmp_path / 'flat'
    folder.mkdir()
    for i in range(6):
        noise(i).save(folder / f'{i}.png')
    return folder


@pytest.fixture
def said():
    """What is logged for users, a text for each line."""
    texts = []

    class Keep(logging.Handler):

        def emit(self, record):
            texts.append(record.getMessage())

    logger, handler = MMLogger.get_current_instance(), Keep(logging.INFO)
    logger.addHandler(handler)
    yield texts
    logger.removeHandler(handler)


@pytest.fixture
def cache(tmp_path_factory, monkeypatch):
    """Path: Folder of the copies and indices of shards."""
    folder = tmp_path_factory.mktemp('cache')
    monkeypatch.setenv('CACO_EXT_CACHE', str(folder))
    return folder
