"""Accuracy of several heads on one backbone."""
from typing import Dict, List, Optional, Sequence

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS


@METRICS.register_module()
class MultiHeadAccuracy(BaseMetric):
    """Top-k accuracy of each head of mmselfsup's ``MultiClsHead``.

    The host's benchmark names an evaluator for it which its release lacks.

    Args:
        topk (Sequence[int]): Those above 1 that are no less than the number
            of classes are left out. Defaults to (1, 5).
        collect_device (str): Of mmengine. Defaults to 'cpu'.
        prefix (str, optional): Of mmengine. Defaults to None.
    """

    def __init__(self,
                 topk: Sequence[int] = (1, 5),
                 collect_device: str = 'cpu',
                 prefix: Optional[str] = None) -> None:
        super().__init__(collect_device, prefix)
        self.topk = tuple(topk)

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Note where the right class stands in each head's order.

        Args:
            data_batch (dict): Not needed.
            data_samples (Sequence[dict]): With 'gt_label' and a
                'head{i}_pred_label' of each head.
        """
        for sample in data_samples:
            truth = int(sample['gt_label']['label'])
            places = {}
            for name, value in sample.items():
                if name.startswith('head') and name.endswith('_pred_label'):
                    scores = value['score'].flatten()
                    # not below: what is equal or not a number is no hit
                    above = ~(scores < scores[truth])
                    places[name.split('_')[0]] = int(above.sum()) - 1
            self.results.append(dict(places=places, classes=len(scores)))

    def compute_metrics(self, results: List[dict]) -> Dict[str, float]:
        """Average.

        Args:
            results (list[dict]): ``places``, how many classes do not stand
                below the right one, by head, and ``classes``, their number.

        Returns:
            dict[str, float]: Per cent, as 'head4/top1', and the best head's
            as 'top1'.
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
