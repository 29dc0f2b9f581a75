"""AdCo's and CLSA's linear layer on VOC2007, with its faults corrected."""
from typing import Callable, Dict, Iterator, List, Sequence, Tuple

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dist import all_reduce, get_dist_info
from mmengine.logging import print_log
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, default_collate
from torchvision import transforms as T

from caco_ext.datasets.pictures import read_picture
from caco_ext.datasets.seeding import SharedSeed
from caco_ext.evaluation import gather_shards
from .frozen import FrozenBackbone
from .voc07 import (CLASSES, VOC07Pictures, build_split, check_targets,
                    class_precisions, image_precision)

TRAIN = T.Compose([
    T.Resize((300, 300)),
    T.RandomChoice([
        T.ColorJitter(brightness=(0.8, 1.2)),
        T.RandomGrayscale(0.25),
    ]),
    T.RandomHorizontalFlip(0.25),
    T.RandomRotation(25),
])
TEST = T.Compose([T.Resize(330), T.FiveCrop(300)])


class Crops(Dataset):
    """Crops of VOC2007's pictures, drawn from (seed, epoch, picture).

    Args:
        pictures (VOC07Pictures): A split.
        transform (Callable): Makes one crop or several of a picture.
        mean, std (Sequence[float]): Of RGB in 0..255.
    """

    def __init__(self, pictures: VOC07Pictures, transform: Callable,
                 mean: Sequence[float], std: Sequence[float]) -> None:
        self.pictures = pictures
        self.transform = transform
        self.mean = torch.tensor(mean)[:, None, None]
        self.std = torch.tensor(std)[:, None, None]
        self.seed = SharedSeed()

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> Tuple[Tensor, Tensor]:
        """Crops (M, 3, H, W), and the targets (20, )."""
        path = self.pictures.get_data_info(index)['img_path']
        picture = Image.fromarray(read_picture(path))
        with self.seed.sample(index):
            crops = self.transform(picture)
        crops = crops if isinstance(crops, tuple) else (crops, )
        crops = torch.stack([T.functional.pil_to_tensor(c) for c in crops])
        targets = torch.from_numpy(self.pictures.targets[index])
        return (crops - self.mean) / self.std, targets


class Batches:
    """This rank's share of each global batch.

    The share of the last batch may be empty. The rank still takes part in its
    step.

    Args:
        size (int): Pictures in the set.
        batch_size (int): Pictures per batch of all ranks together.
        seed (int): Seed of the order.
    """

    def __init__(self, size: int, batch_size: int, seed: int) -> None:
        self.size, self.batch_size = size, batch_size
        self.generator = torch.Generator().manual_seed(seed)

    def __iter__(self) -> Iterator[List[int]]:
        rank, world = get_dist_info()
        order = torch.randperm(self.size, generator=self.generator)
        for rows in order.split(self.batch_size):
            yield rows[rank::world].tolist()

    def __len__(self) -> int:
        return -(-self.size // self.batch_size)


def collate(items: List[Tuple[Tensor, Tensor]]) -> List[Tensor]:
    """Stack crops and targets; the list may be empty.

    Args:
        items (list[tuple[Tensor, Tensor]]): Items of :class:`Crops`.

    Returns:
        list[Tensor]: Crops (B, M, 3, H, W) and targets (B, 20).
    """
    if not items:
        return [torch.zeros(0, 1, 3, 32, 32), torch.zeros(0, len(CLASSES))]
    return default_collate(items)


def train_layer(cfg: Config, model: FrozenBackbone, data: Crops) -> nn.Linear:
    """Train the layer; the backbone stays in eval mode.

    Args:
        cfg (Config): Has 'lr', 'momentum', 'epochs', 'batch_size' (of all
            processes), 'num_workers', 'seed'.
        model (FrozenBackbone): The backbone.
        data (Crops): Crops of trainval.

    Returns:
        nn.Linear: Maps features to the 20 classes.
    """
    device = next(model.parameters()).device
    layer = nn.Linear(model.width, data.pictures.targets.shape[1])
    generator = torch.Generator().manual_seed(cfg.seed)
    nn.init.normal_(layer.weight, std=0.01, generator=generator)
    nn.init.zeros_(layer.bias)
    layer.to(device)
    optimizer = torch.optim.SGD(
        layer.parameters(), lr=cfg.lr, momentum=cfg.momentum)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(
        optimizer, cfg.epochs)
    loader = DataLoader(
        data,
        batch_sampler=Batches(len(data), cfg.batch_size, cfg.seed),
        collate_fn=collate,
        num_workers=cfg.num_workers)
    for epoch in range(cfg.epochs):
        data.seed.set(cfg.seed, epoch)
        total = torch.zeros(())
        for crops, targets in loader:
            features = _features(model, crops[:, 0].to(device))
            # As in the original, difficult objects count as absent.
            loss = F.binary_cross_entropy_with_logits(
                layer(features), (targets > 0).float().to(device),
                reduction='sum')
            optimizer.zero_grad()
            loss.backward()
            for p in layer.parameters():  # the sum over the whole batch
                all_reduce(p.grad)
            optimizer.step()
            total += loss.detach().cpu()
        schedule.step()
        all_reduce(total)
        print_log(
            f'epoch {epoch + 1}: loss {total / len(data):.4f} a '
            'picture', 'current')
    return layer


@torch.no_grad()
def _features(model: FrozenBackbone, crops: Tensor) -> Tensor:
    """Averaged last maps (N, C) of normalised crops."""
    return model.backbone(crops)[-1].mean((2, 3))


@torch.no_grad()
def score(cfg: Config, model: FrozenBackbone, layer: nn.Linear,
          data: Crops) -> np.ndarray:
    """Mean logits over the five crops.

    Args:
        cfg (Config): Has 'batch_size', 'num_workers'.
        model (FrozenBackbone): The backbone.
        layer (nn.Linear): The trained layer.
        data (Crops): Crops of test.

    Returns:
        np.ndarray: Logits, (N, 20).
    """
    rank, world = get_dist_info()
    share = torch.utils.data.Subset(data, range(rank, len(data), world))
    device = next(model.parameters()).device
    logits = [torch.zeros(0, layer.out_features)]
    for crops, _ in DataLoader(
            share, cfg.batch_size, num_workers=cfg.num_workers):
        flat = _features(model, crops.flatten(0, 1).to(device))
        logits.append(layer(flat).view(*crops.shape[:2], -1).mean(1).cpu())
    return gather_shards(torch.cat(logits)).numpy()


def measure_sgd(cfg: Config,
                model: FrozenBackbone) -> Tuple[Dict[str, float], dict]:
    """Train on trainval with augmentation, test on test with five crops.

    Args:
        cfg (Config): See :func:`train_layer` and
            :func:`caco_ext.transfer.voc07.build_split`. ``per_image=True``
            adds the number that the original prints.
        model (FrozenBackbone): The backbone.

    Returns:
        tuple[dict[str, float], dict]: Results of
        :func:`caco_ext.transfer.voc07.class_precisions`, and 'per_image_AP'.

    Raises:
        ValueError: A class has no picture.
    """
    mean, std = cfg.data_preprocessor.mean, cfg.data_preprocessor.std
    splits = [build_split(cfg, name) for name in ('trainval', 'test')]
    for split in splits:
        split.full_init()
        check_targets(split.targets, split.split)
    train, test = (Crops(split, transform, mean, std)
                   for split, transform in zip(splits, (TRAIN, TEST)))
    layer = train_layer(cfg, model, train)
    scores = score(cfg, model, layer, test)
    truth = test.pictures.targets
    metrics = class_precisions(truth, scores)
    if cfg.per_image:
        metrics['per_image_AP'] = image_precision(truth, scores)
    return metrics, dict(pictures=dict(train=len(train), test=len(test)))
