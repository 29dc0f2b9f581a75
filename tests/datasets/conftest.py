"""Small picture folders for the tests."""
import logging

import numpy as np
import pytest
from mmengine.logging import MMLogger
from PIL import Image


def noise(seed, size=(20, 24)):
    """A picture of noise."""
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (*size, 3), dtype=np.uint8))


@pytest.fixture
def labelled(tmp_path):
    """Folder with three classes of ten PNG pictures."""
    for label, name in enumerate(('ant', 'bee', 'cat')):
        folder = tmp_path / 'pictures' / name
        folder.mkdir(parents=True)
        for i in range(10):
            noise(100 * label + i).save(folder / f'{i:02d}.png')
    return tmp_path / 'pictures'


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
