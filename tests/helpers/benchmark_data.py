"""Small data sets in the layouts of COCO, VOC and Cityscapes."""
import json
from pathlib import Path
from typing import List, Tuple
from xml.etree import ElementTree

import numpy as np
from PIL import Image

VOC_CLASSES = ('aeroplane', 'bicycle', 'bird', 'boat', 'bottle', 'bus', 'car',
               'cat', 'chair', 'cow', 'diningtable', 'dog', 'horse',
               'motorbike', 'person', 'pottedplant', 'sheep', 'sofa', 'train',
               'tvmonitor')
#: Colours of the three classes that are drawn.
COLOURS = ((220, 40, 40), (40, 220, 40), (40, 40, 220))
Box = Tuple[int, int, int, int]


def scene(rng: np.random.Generator,
          width: int = 128,
          height: int = 96,
          count: int = 2,
          kinds: Tuple[int, ...] = (0, 1, 2)):
    """Draw rectangles on noise: pixels (H, W, 3), a list of (class, box), and
    for each pixel its class plus one, 0 for the background."""
    pixels = rng.integers(90, 160, (height, width, 3), dtype=np.uint8)
    classes = np.zeros((height, width), np.uint8)
    objects: List[Tuple[int, Box]] = []
    step = width // count
    for i in range(count):
        kind = int(rng.choice(kinds))
        w = int(rng.integers(step // 2, step - 4))
        h = int(rng.integers(height // 2, height - 8))
        x = i * step + int(rng.integers(1, step - w))
        y = int(rng.integers(1, height - h))
        pixels[y:y + h, x:x + w] = COLOURS[kind]
        classes[y:y + h, x:x + w] = kind + 1
        objects.append((kind, (x, y, x + w, y + h)))
    return pixels, objects, classes


def make_coco(root: Path, classes, counts=(4, 2), seed: int = 0) -> Path:
    """Write COCO 2017; the first three classes are drawn."""
    rng = np.random.default_rng(seed)
    (root / 'annotations').mkdir(parents=True)
    for split, count in zip(('train2017', 'val2017'), counts):
        (root / split).mkdir()
        images, annotations = [], []
        for i in range(count):
            pixels, objects, _ = scene(rng)
            name = f'{i:012d}.jpg'
            Image.fromarray(pixels).save(root / split / name, quality=95)
            images.append(dict(id=i, file_name=name, width=128, height=96))
            for kind, (x1, y1, x2, y2) in objects:
                annotations.append(
                    dict(
                        id=len(annotations) + 1,
                        image_id=i,
                        category_id=kind + 1,
                        iscrowd=0,
                        area=(x2 - x1) * (y2 - y1),
                        bbox=[x1, y1, x2 - x1, y2 - y1],
                        segmentation=[[x1, y1, x2, y1, x2, y2, x1, y2]]))
        categories = [
            dict(id=i + 1, name=name) for i, name in enumerate(classes)
        ]
        (root / 'annotations' / f'instances_{split}.json').write_text(
            json.dumps(
                dict(
                    images=images,
                    annotations=annotations,
                    categories=categories)))
    return root


def make_voc(root: Path, count: int = 4, seed: int = 0) -> Path:
    """Write VOC2007 and VOC2012 for detection, classes and segmentation."""
    rng = np.random.default_rng(seed)
    for year, splits in (('VOC2007', ('train', 'val', 'test')),
                         ('VOC2012', ('train', 'val'))):
        folder = root / year
        for name in ('Annotations', 'JPEGImages', 'ImageSets/Main',
                     'ImageSets/Segmentation', 'SegmentationClass',
                     'SegmentationClassAug'):
            (folder / name).mkdir(parents=True)
        names, present = {}, {}
        for split in splits:
            names[split] = [
                f'{year[-2:]}_{split}_{i:03d}' for i in range(count)
            ]
            for i, name in enumerate(names[split]):
                # so that each class has pictures with and without it
                kinds = ((0, ), (1, ), (2, ), (1, 2))[i % 4]
                pixels, objects, classes = scene(rng, kinds=kinds)
                Image.fromarray(pixels).save(
                    folder / 'JPEGImages' / f'{name}.jpg', quality=95)
                for masks in ('SegmentationClass', 'SegmentationClassAug'):
                    Image.fromarray(classes).save(folder / masks /
                                                  f'{name}.png')
                # lists of classes that are not drawn have to be as long
                present[name] = {kind
                                 for kind, _ in objects}.union(
                                     n for n in range(3, 20)
                                     if (i + n) % 4 == 0)
                _voc_annotation(folder / 'Annotations' / f'{name}.xml', name,
                                objects)
        names['trainval'] = names['train'] + names['val']
        names['aug'] = names['train']
        for split, listed in names.items():
            for kind in ('Main', 'Segmentation'):
                (folder / 'ImageSets' / kind / f'{split}.txt').write_text(
                    ''.join(f'{name}\n' for name in listed))
            for number, label in enumerate(VOC_CLASSES):
                (folder / 'ImageSets/Main' /
                 f'{label}_{split}.txt').write_text(''.join(
                     f'{name} {1 if number in present[name] else -1:2d}\n'
                     for name in listed))
    return root


def _voc_annotation(path: Path, name: str, objects) -> None:
    top = ElementTree.Element('annotation')
    ElementTree.SubElement(top, 'filename').text = f'{name}.jpg'
    size = ElementTree.SubElement(top, 'size')
    for key, value in (('width', 128), ('height', 96), ('depth', 3)):
        ElementTree.SubElement(size, key).text = str(value)
    for kind, box in objects:
        item = ElementTree.SubElement(top, 'object')
        ElementTree.SubElement(item, 'name').text = VOC_CLASSES[kind]
        ElementTree.SubElement(item, 'difficult').text = '0'
        corners = ElementTree.SubElement(item, 'bndbox')
        for key, value in zip(('xmin', 'ymin', 'xmax', 'ymax'), box):
            ElementTree.SubElement(corners, key).text = str(value + 1)
    ElementTree.ElementTree(top).write(path)


def make_cityscapes(root: Path, count: int = 2, seed: int = 0) -> Path:
    """Write Cityscapes with masks of training ids."""
    rng = np.random.default_rng(seed)
    for split in ('train', 'val'):
        pictures = root / 'leftImg8bit' / split / 'town'
        masks = root / 'gtFine' / split / 'town'
        pictures.mkdir(parents=True)
        masks.mkdir(parents=True)
        for i in range(count):
            pixels, _, classes = scene(rng, 128, 64)
            name = f'town_{i:06d}_000019'
            Image.fromarray(pixels).save(pictures / f'{name}_leftImg8bit.png')
            Image.fromarray(classes).save(masks /
                                          f'{name}_gtFine_labelTrainIds.png')
    return root
