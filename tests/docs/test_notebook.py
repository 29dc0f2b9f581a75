"""The notebook runs from top to bottom."""
import base64
import os
import time
from io import BytesIO
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from PIL import Image

pytestmark = pytest.mark.slow

TOUR = Path(__file__).parents[2] / 'docs' / 'notebooks' / 'tour.ipynb'


def test_tour(tmp_path, monkeypatch):
    # The kernel is this Python, whatever others are known to Jupyter.
    monkeypatch.setenv('JUPYTER_PLATFORM_DIRS', '1')
    monkeypatch.setenv('TMPDIR', str(tmp_path))
    notebook = nbformat.read(TOUR, 4)
    nbformat.validate(notebook)
    assert len(notebook.cells) == 10
    assert not any(cell.get('outputs') for cell in notebook.cells)
    client = NotebookClient(
        notebook,
        timeout=600,
        kernel_name='python3',
        resources=dict(metadata=dict(path=str(tmp_path))))
    begin = time.monotonic()
    client.execute(env=dict(os.environ, PYTHONPATH=str(TOUR.parents[2])))
    # For the page that says how long it takes; other jobs may share the cores.
    print(f'the notebook ran for {time.monotonic() - begin:.0f} s')

    def text(i):
        outputs = notebook.cells[i].outputs
        return ''.join(output.get('text', '') for output in outputs)

    assert 'columns of the bank: 1024' in text(2)
    assert float(text(4).split(':')[1]) < 1e-4
    assert '(untrained network)' in text(5)
    assert 30 < float(text(9).split(':')[1].rstrip('%\n')) < 100
    for i in (3, 6, 7, 8):
        data = notebook.cells[i].outputs[-1].data['image/png']
        picture = np.asarray(Image.open(BytesIO(base64.b64decode(data))))
        assert picture.std() > 10, i
