"""A data set and an algorithm so small that runs take seconds."""
import numpy as np
import torch
from mmengine.dataset import BaseDataset
from mmengine.model import BaseDataPreprocessor, BaseModel
from mmengine.registry import DATASETS, MODELS
from mmengine.structures import BaseDataElement
from torch import nn


@DATASETS.register_module(force=True)
class ToyPictures(BaseDataset):
    """Coloured noise; the colour tells the class.

    Args:
        counts (Sequence[int]): Number of pictures of each class.
        classes (Sequence[str]): Names of the classes.
        seed (int): Of the noise.
        noise (float): Standard deviation of the noise.
        with_labels (bool): Whether the pictures have labels.
        broken (Sequence[int]): Pictures that give way to their successor.
        suffix (str): Ends the names of the classes where they are shown.
    """
    COLOURS = dict(
        red=(200, 60, 60),
        green=(60, 200, 60),
        blue=(60, 60, 200),
        grey=(120, 120, 120),
        black=(20, 20, 20),
        white=(240, 240, 240))

    def __init__(self,
                 counts=(7, 7, 7),
                 classes=('red', 'green', 'blue'),
                 seed=0,
                 noise=90.,
                 with_labels=True,
                 broken=(),
                 suffix=''):
        self.counts, self.seed, self.noise = counts, seed, noise
        self.with_labels, self.unreadable = with_labels, broken
        self.colours = classes
        names = tuple(name + suffix for name in classes)
        super().__init__(metainfo=dict(classes=names))

    def load_data_list(self):
        items = []
        for label, count in enumerate(self.counts):
            for i in range(count):
                name = self.colours[label]
                items.append(dict(img_path=f'{name}/{i}.jpg', name=name))
                if self.with_labels:
                    items[-1]['gt_label'] = label
        return items

    def __getitem__(self, idx):
        idx = idx + 1 if idx in self.unreadable else idx
        info = self.get_data_info(idx)
        rng = np.random.default_rng([self.seed, idx])
        picture = rng.normal(self.COLOURS[info['name']], self.noise,
                             (8, 8, 3)).clip(0, 255).astype(np.uint8)
        # what a careless pipeline does with the global generators
        np.random.rand(), torch.rand(1)
        sample = BaseDataElement(metainfo=dict(img_path=info['img_path']))
        picture = torch.from_numpy(picture).permute(2, 0, 1).contiguous()
        return dict(inputs=[picture], data_samples=sample)


class ToyPreprocessor(BaseDataPreprocessor):
    """Scale to [0, 1]; a list of views in and out, as MMSelfSup's."""

    def forward(self, data, training=False):
        data = self.cast_data(data)
        views = [view.float() / 255 for view in data['inputs']]
        return views, data['data_samples']


class ToyBackbone(nn.Module):
    """Two stages with batch norm and dropout."""

    def __init__(self, width=6):
        super().__init__()
        self.one = nn.Sequential(
            nn.Conv2d(3, width, 3), nn.BatchNorm2d(width), nn.ReLU())
        self.two = nn.Sequential(nn.Conv2d(width, width, 3), nn.Dropout(0.3))

    def forward(self, x):
        one = self.one(x)
        return one, self.two(one)


@MODELS.register_module(force=True)
class ToyAlgorithm(BaseModel):
    """Something to train: two dropout passes shall agree."""

    def __init__(self, seed=0):
        super().__init__(data_preprocessor=ToyPreprocessor())
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            self.backbone = ToyBackbone()

    def forward(self, inputs, data_samples=None, mode='tensor'):
        one = self.backbone(inputs[0])[-1].mean((2, 3))
        two = self.backbone(inputs[0])[-1].mean((2, 3))
        if mode == 'tensor':
            return one
        return dict(loss=(one - two).square().mean() + 1 / one.std())
