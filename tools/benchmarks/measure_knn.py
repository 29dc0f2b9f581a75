"""Time and peak memory of a kNN evaluation on made-up features.

A line of JSON: seconds of the search with its votes, by the clock and of the
processor, and the peak memory of the process, features included. Some queries
are classified again in float64, by sorting all cosines. Ends with status 1 if
the counts of right answers differ.
"""
import argparse
import json
import resource
import sys
import time
from typing import Sequence, Tuple

import torch
from torch import Tensor
from torch.nn import functional as F

from caco_ext.evaluation import knn_correct
from caco_ext.utils.launch import make_parser, run_tool

# Rows that are made or compared at a time.
CHUNK = 2**14


def get_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = make_parser(__doc__)
    for name, value, text in (
        ('--bank', 1281167, 'features to search'),
        ('--queries', 50000, 'features to classify'),
        ('--dim', 512, 'their width'),
        ('--classes', 1000, 'classes'),
        ('--sample', 64, 'queries to check'),
        ('--threads', 1, "torch's threads"),
    ):
        parser.add_argument(
            name, type=int, default=value, help=f'{text}: {value}')
    parser.add_argument(
        '--k', type=int, nargs='+', default=[20, 200], help='neighbours')
    parser.add_argument(
        '--temperature', type=float, default=0.07, help='of the votes: 0.07')
    parser.add_argument(
        '--device', default='cpu', help='of the queries: cpu, cuda')
    return parser


def make_features(centres: Tensor, count: int) -> Tuple[Tensor, Tensor]:
    """Make features around the centres of their classes.

    Args:
        centres (Tensor): One unit vector per class, shape (classes, C).
        count (int): Number N of features.

    Returns:
        tuple[Tensor, Tensor]: Unit vectors (N, C) and labels (N, ).
    """
    labels = torch.randint(len(centres), (count, ))
    features = torch.empty(count, centres.size(1))
    for part, own in zip(features.split(CHUNK), labels.split(CHUNK)):
        noise = torch.randn(part.shape) * (3 / centres.size(1)**0.5)
        torch.add(centres[own], noise, out=part)
        F.normalize(part, dim=1, out=part)
    return features, labels


def count_plainly(bank: Tensor, labels: Tensor, query: Tensor, truth: Tensor,
                  ks: Sequence[int], temperature: float) -> Tensor:
    """Count as ``knn_correct`` does: one query at a time, in float64.

    Args:
        bank, labels, query, truth, ks, temperature: As for ``knn_correct``.

    Returns:
        Tensor: Integers of shape (len(ks), 2).
    """
    counts = torch.zeros(len(ks), 2, dtype=torch.long)
    for feature, right in zip(query.double(), truth):
        cosines = torch.cat(
            [rows.double() @ feature for rows in bank.split(CHUNK)])
        order = cosines.argsort(descending=True)
        for k, count in zip(ks, counts):
            near = order[:k]
            weights = (cosines[near] / temperature).exp()
            scores = torch.bincount(labels[near], weights)
            best = scores.argsort(descending=True)[:5]
            best = best[scores[best] > 0]
            count += torch.stack([(best[:1] == right).sum(),
                                  (best == right).sum()])
    return counts


def main(args: argparse.Namespace) -> None:
    """Measure, check and print."""
    torch.manual_seed(0)
    torch.set_num_threads(args.threads)
    centres = F.normalize(torch.randn(args.classes, args.dim), dim=1)
    bank, labels = make_features(centres, args.bank)
    query, truth = make_features(centres, args.queries)
    start, used = time.perf_counter(), time.process_time()
    counts = knn_correct(bank, labels, query.to(args.device), truth, args.k,
                         args.temperature).cpu()
    seconds = time.perf_counter() - start
    used = time.process_time() - used
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    some = slice(args.sample)
    found = knn_correct(bank, labels, query[some].to(args.device), truth[some],
                        args.k, args.temperature).cpu()
    expected = count_plainly(bank, labels, query[some], truth[some], args.k,
                             args.temperature)
    exact = torch.equal(found, expected)
    print(
        json.dumps(
            dict(
                bank=args.bank,
                queries=args.queries,
                dim=args.dim,
                classes=args.classes,
                k=args.k,
                seconds=round(seconds, 2),
                cpu_seconds=round(used, 2),
                peak_gib=round(peak, 3),
                correct=counts.tolist(),
                exact=exact)))
    if not exact:
        sys.exit(f'of the sample {found.tolist()} are right, in float64 '
                 f'{expected.tolist()}')


if __name__ == '__main__':
    run_tool(get_parser(), main)
