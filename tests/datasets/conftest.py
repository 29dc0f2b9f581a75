"""Small picture folders for the tests."""
import numpy as np
import pytest
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
