"""Accuracy of several heads on one backbone."""
from typing import Dict, List, Optional, Sequence

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS


@METRICS.register_module()
class MultiHeadAccuracy(BaseMetric):
    """Top-k accuracy of each head of mmselfsup's ``MultiClsHead``.

    The host's benchmark names an evaluator that its release lacks.

    Args:
        topk (Sequence[int]): Values of k. Those above 1 must be less than the
            number of classes, or they are left out. Defaults to (1, 5).
        collect_device (str): See mmengine's ``BaseMetric``.
            Defaults to 'cpu'.
        prefix (str, optional): See mmengine's ``BaseMetric``.
            Defaults to None.
    """

    def __init__(self,
                 topk: Sequence[int] = (1, 5),
                 collect_device: str = 'cpu',
                 prefix: Optional[str] = None) -> None:
        super().__init__(collect_device, prefix)
        self.topk = tuple(topk)

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Record the rank of the right class in each head's scores.

        Args:
            data_batch (dict): Not used.
            data_samples (Sequence[dict]): Have 'gt_label' and a
                'head{i}_pred_label' for each head.
        """
        for sample in data_samples:
            truth = int(sample['gt_label']['label'])
            places = {}
            for name, value in sample.items():
                if name.startswith('head') and name.endswith('_pred_label'):
                    scores = value['score'].flatten()
                    # "Not below", so that equal scores and NaN are no hits.
                    above = ~(scores < scores[truth])
                    places[name.split('_')[0]] = int(above.sum()) - 1
            self.results.append(dict(places=places, classes=len(scores)))

    def compute_metrics(self, results: List[dict]) -> Dict[str, float]:
        """Average over pictures.

        Args:
            results (list[dict]): ``places``: by head, how many classes do not
                score below the right one. ``classes``: number of classes.

        Returns:
            dict[str, float]: Accuracies in per cent, named like 'head4/top1';
            that of the best head is 'top1'.
        """
        metrics = {}
        heads, classes = results[0]['places'], results[0]['classes']
        for k in (k for k in self.topk if k == 1 or k < classes):
            for head in heads:
                hits = [one['places'][head] < k for one in results]
                metrics[f'{head}/top{k}'] = 100. * float(np.mean(hits))
            metrics[f'top{k}'] = max(metrics[f'{head}/top{k}']
                                     for head in heads)
        return metrics
