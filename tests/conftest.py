"""What every test needs."""
from collections import OrderedDict

import pytest
from mmengine.visualization import Visualizer


@pytest.fixture(autouse=True)
def own_visualizers(monkeypatch):
    """Drop the visualizers of earlier tests. The host keeps them by the name
    of the experiment, which is config and second: two runners of one second
    would write into the folder of the first."""
    monkeypatch.setattr(Visualizer, '_instance_dict', OrderedDict())
