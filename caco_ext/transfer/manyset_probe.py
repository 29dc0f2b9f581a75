"""Features and linear probe of one small data set after the other."""
import argparse
import os.path as osp
from typing import Any, Dict, List, Optional

import numpy as np

from caco_ext.evaluation import linear_probe_accuracy
from caco_ext.utils import UsageError
from caco_ext.utils.files import write_whole
from .frozen import FrozenBackbone, features_file, features_of
from .manyset_data import SETS, Part, open_parts
from .results import FILE, read_results, write_results

TASK = 'manyset'
# Of the transforms of the pictures.
SCOPE = 'mmcls'
PROTOCOL = 'L2-regularised logistic regression on frozen features, {size} px'
# Mean and deviation of RGB pictures in 0..255, as in all configs.
PREPROCESSOR = dict(
    type='mmselfsup.SelfSupDataPreprocessor',
    mean=(123.675, 116.28, 103.53),
    std=(58.395, 57.12, 57.375),
    bgr_to_rgb=True)


def make_pipeline(size: int) -> List[dict]:
    """Pipeline of SimCLR's appendix B.8: no augmentation.

    Args:
        size (int): The short side is scaled to it, and the central square is
            used.

    Returns:
        list[dict]: Configs of the transforms.
    """
    return [
        dict(type='LoadImage'),
        dict(
            type='mmcls.ResizeEdge',
            scale=size,
            edge='short',
            backend='pillow',
            interpolation='bicubic'),
        dict(type='CenterCrop', crop_size=size),
        dict(type='mmselfsup.PackSelfSupInputs', algorithm_keys=['gt_label'])
    ]


class ManySets:
    """Measures data sets one by one, and keeps what was measured.

    Args:
        model (FrozenBackbone): The backbone.
        folder (str): Work folder. Earlier results in it are kept.
        args (Namespace): ``size``, ``batch_size`` and ``num_workers``.

    Raises:
        UsageError: The folder has results of another backbone or size.
    """

    def __init__(self, model: FrozenBackbone, folder: str,
                 args: argparse.Namespace) -> None:
        self.model = model
        self.folder = folder
        self.size = args.size
        self.pipeline = make_pipeline(args.size)
        self.loading = dict(
            batch_size=args.batch_size, num_workers=args.num_workers)
        self.entries = self._earlier()

    def _earlier(self) -> Dict[str, Any]:
        """Results in the work folder."""
        path = osp.join(self.folder, FILE)
        if not osp.isfile(path):
            return {}
        try:
            content = read_results(path)
        except ValueError as error:
            raise UsageError(f'--work-dir: {error}') from error
        before, now = content.get('checkpoint') or {}, self.model.proof
        if content['task'] != TASK or content.get('size') != self.size or any(
                before.get(name) != now[name] for name in ('sha256', 'part')):
            raise UsageError(
                f'{path} holds results of {content["task"]}, '
                f'{before.get("path")}, {content.get("size")} px, and not of '
                f'{TASK}, {now["path"]}, {self.size} px; name another '
                '--work-dir')
        return content['datasets']

    def measure(self, name: str, root: str) -> bool:
        """Measure a data set, unless it was measured before.

        Args:
            name (str): Name of the data set.
            root (str): Its ``data_root``.

        Returns:
            bool: Whether it was measured now.

        Raises:
            ValueError, OSError, RuntimeError: The data cannot be used.
        """
        split = open_parts(name, root, self.pipeline)
        parts = dict(train=split.train, val=split.val, test=split.test)
        used = {key: part for key, part in parts.items() if part is not None}
        files = {key: self._file(part) for key, part in used.items()}
        if self.entries.get(name, {}).get('features') == files:
            return False
        features, labels = {}, {}
        for key, part in used.items():
            features[key], labels[key] = self._features(part)
        entry = self._probe(name, features, labels)
        entry.update(data=root, split=split.split, features=files)
        self.entries[name] = entry
        self._write()
        return True

    def _file(self, part: Part) -> str:
        return features_file(self.model, part.dataset, self.pipeline,
                             part.indices, part.labels)

    def _features(self, part: Part) -> List[np.ndarray]:
        """Features and labels of the readable pictures of a part."""
        found = features_of(
            self.model,
            part.dataset,
            self.pipeline,
            part.indices,
            part.labels,
            cache=osp.join(self.folder, 'features'),
            **self.loading)
        return [tensor.numpy() for tensor in found]

    def _probe(self, name: str, features: Dict[str, np.ndarray],
               labels: Dict[str, np.ndarray]) -> Dict[str, Any]:
        """Train and test the classifier; the entry of ``results.json``."""
        train, known = [features['train']], [labels['train']]
        rows: Optional[np.ndarray] = None
        if 'val' in features:
            rows = np.arange(len(features['val'])) + len(train[0])
            train.append(features['val'])
            known.append(labels['val'])
        found = linear_probe_accuracy(
            np.concatenate(train), np.concatenate(known), features['test'],
            labels['test'], rows)
        metric = SETS[name].metric if name in SETS else 'top1'
        return dict(
            metric=metric,
            accuracy=getattr(found, metric),
            top1=found.top1,
            mean_class=found.mean_class,
            c=found.c,
            c_at_edge=found.at_edge,
            size=self.size,
            classes=len(np.unique(known[0])),
            pictures={
                key: len(one)
                for key, one in labels.items()
            })

    def _write(self) -> None:
        """Write results and table."""
        order = [*SETS, *self.entries]
        self.entries = {
            name: self.entries[name]
            for name in dict.fromkeys(order) if name in self.entries
        }
        write_results(
            self.folder,
            TASK,
            PROTOCOL.format(size=self.size), {
                n: entry['accuracy']
                for n, entry in self.entries.items()
            },
            self.model.proof,
            datasets=self.entries,
            size=self.size)
        write_whole(osp.join(self.folder, 'table.md'), self.table())

    def table(self) -> str:
        """The table of all results.

        Returns:
            str: Markdown.
        """
        proof = self.model.proof
        lines = [
            f'{proof["path"]} ({proof["architecture"]}, sha256 '
            f'{proof["sha256"][:12]}), {self.size} px', '',
            '| data set | accuracy [%] | metric | C | classes | training | '
            'test | division |', '| --- ' * 8 + '|'
        ]
        for name, entry in self.entries.items():
            count = entry['pictures']
            training = ' + '.join(
                str(count[key]) for key in ('train', 'val') if key in count)
            metric = entry['metric'].replace('mean_class', 'mean of classes')
            star = '*' if entry['c_at_edge'] else ''
            lines.append(
                f'| {name} | {entry["accuracy"]:.2f} | {metric} | '
                f'{entry["c"]:g}{star} | {entry["classes"]} | {training} | '
                f'{count["test"]} | {entry["split"]} |')
        if any(entry['c_at_edge'] for entry in self.entries.values()):
            lines += ['', '\\* the first or last of the values tried']
        return '\n'.join(lines) + '\n'
