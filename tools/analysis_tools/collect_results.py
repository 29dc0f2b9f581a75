"""Make one table of many runs' results.json.

    python tools/analysis_tools/collect_results.py work_dirs --out table.md

Every row is a checkpoint, by its hash, and every column a metric of a task;
`best` values are marked. Repeated measurements are given as mean and standard
deviation.
"""
import argparse
import json
import os
import os.path as osp
import statistics
import sys
from typing import Any, Dict, List, Tuple

# The metric of each task that papers report, by its name in `metrics`.
MAIN = dict(
    knn_imagenet=('top1_k20', 'top1_k200', 'top1'),
    linear_imagenet=('accuracy/top1', 'accuracy/top5'),
    semi_imagenet_1pct=('accuracy/top1', 'accuracy/top5'),
    semi_imagenet_10pct=('accuracy/top1', 'accuracy/top5'),
    lineargrid_imagenet=('top1', ),
    linear_places205=('accuracy/top1', 'top1'),
    voc07_svm=('mAP', 'mAP_11points'),
    voc07_sgd=('mAP', ),
    detection_coco=('coco/bbox_mAP', 'coco/segm_mAP'),
    detection_voc0712=('pascal_voc/mAP', 'pascal_voc/AP50', 'pascal_voc/AP75'),
    segmentation_voc12aug=('mIoU', ),
    segmentation_cityscapes=('mIoU', ))
# Task, protocol and metric.
Column = Tuple[str, str, str]
# Values by checkpoint, its name and its hash, and by column.
Table = Dict[Tuple[str, str], Dict[Column, List[float]]]


def find_results(paths: List[str]) -> List[str]:
    """Files named results.json, in and below some folders."""
    found = set()
    for path in paths:
        if osp.isfile(path):
            found.add(path)
        elif osp.isdir(path):
            for folder, _, names in os.walk(path):
                if 'results.json' in names:
                    found.add(osp.join(folder, 'results.json'))
        else:
            raise FileNotFoundError(f'{path} does not exist')
    return sorted(found)


def read(path: str) -> Dict[str, Any]:
    """Content of a results.json; a ValueError if it is not one."""
    with open(path, encoding='utf-8') as file:
        try:
            content = json.load(file)
        except (ValueError, RecursionError) as error:
            raise ValueError(f'{path} is not JSON: {error}') from error
    if not isinstance(content, dict) or \
            not isinstance(content.get('task'), str) or \
            not isinstance(content.get('metrics'), dict) or not all(
                isinstance(value, (int, float))
                for value in content['metrics'].values()):
        raise ValueError(f'{path} is no result of a benchmark')
    return content


def numbers(content: Dict[str, Any]) -> Dict[str, float]:
    """The numbers of a run that go into the table, by name.

    These are its final metrics, and of a linear probe also the best ones,
    which the papers report, as 'best NAME'.
    """
    task, metrics = content['task'], content['metrics']
    names = [n for n in MAIN.get(task, ()) if n in metrics] or list(metrics)
    chosen = {name: metrics[name] for name in names}
    if task.startswith(('linear_', 'semi_')):
        best = content.get('best', {})
        chosen.update({
            f'best {name}': best[name]['value']
            for name in names if name in best
        })
    return chosen


def collect(contents: List[Dict[str, Any]]) -> Tuple[Table, List[Column]]:
    """Group the numbers by checkpoint and column."""
    table: Table = {}
    columns: List[Column] = []
    for content in contents:
        checkpoint = content.get('checkpoint') or {}
        key = (osp.basename(checkpoint.get('path', 'random')),
               checkpoint.get('sha256', '')[:8])
        for name, value in numbers(content).items():
            column = (content['task'], content.get('protocol', ''), name)
            if column not in columns:
                columns.append(column)
            table.setdefault(key, {}).setdefault(column, []).append(value)
    return table, sorted(columns)


def markdown(contents: List[Dict[str, Any]]) -> str:
    """The table as Markdown, with an explanation of the columns below."""
    table, columns = collect(contents)
    lines = [
        '| checkpoint | sha256 | ' +
        ' | '.join(f'{task}: {name}' for task, _, name in columns) + ' |',
        '| --- ' * (len(columns) + 2) + '|'
    ]
    for (name, digest), row in sorted(table.items()):
        cells = [_cell(row.get(column, [])) for column in columns]
        lines.append(f'| {name} | {digest} | ' + ' | '.join(cells) + ' |')
    lines.append('')
    protocols = sorted({(task, protocol) for task, protocol, _ in columns})
    lines += [f'* {task}: {protocol}' for task, protocol in protocols]
    return '\n'.join(lines) + '\n'


def _cell(values: List[float]) -> str:
    if not values:
        return ''
    mean = statistics.fmean(values)
    text = f'{mean:.3f}' if abs(mean) <= 1 else f'{mean:.2f}'
    if len(values) > 1:
        text += f' ± {statistics.stdev(values):.2f} ({len(values)} runs)'
    return text


def main() -> None:
    """Read, print and write."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        'paths', nargs='+', help='results.json files, or folders with some')
    parser.add_argument('--out', help='file for the table, default: none')
    args = parser.parse_args()
    try:
        paths = find_results(args.paths)
        if args.out:
            # Imported here, as importing torch takes longer than the table.
            from caco_ext.utils.files import check_output
            check_output(args.out, *paths)
        contents = [read(path) for path in paths]
    except (OSError, ValueError) as error:
        sys.exit(f'error: {error}')
    if not contents:
        sys.exit(f'error: no results.json in {", ".join(args.paths)}')
    # A name that is not UTF-8 could not be written.
    text = markdown(contents).encode(errors='replace').decode()
    print(text, end='')
    if args.out:
        with open(args.out, 'w', encoding='utf-8') as file:
            file.write(text)


if __name__ == '__main__':
    main()
