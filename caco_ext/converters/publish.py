# Copyright (c) caco_ext authors. All rights reserved.
"""Strip a checkpoint, name it by its hash, and enter it in the zoo."""
import os
import os.path as osp
import re
import tempfile
from typing import Any, Dict, Optional

import yaml
from mmengine.config import Config

from caco_ext.utils.checkpoints import CheckpointError, read_checkpoint
from caco_ext.utils.files import check_output, write_whole
from .backbones import find_backbone
from .files import provenance, sha256, weights_of, write_checkpoint
from .key_maps import METHODS
from .official import TITLES


def publish(config: str,
            path: str,
            folder: str,
            date: str,
            part: str = 'full') -> str:
    """Write a checkpoint for others: weights and where they are from.

    Args:
        config (str): The config it was trained with; gives the name.
        path (str): The checkpoint.
        folder (str): Where to write.
        date (str): Eight digits, for the name.
        part (str): 'full' for all weights, 'backbone' for the query
            encoder's backbone. Defaults to 'full'.

    Returns:
        str: The file, ``{config}_{date}-{first 8 digits of sha256}.pth``.

    Raises:
        CheckpointError: The date or the checkpoint is not what it should be.
    """
    if not re.fullmatch(r'\d{8}', date):
        raise CheckpointError(f'--date {date}: eight digits, YYYYMMDD')
    if not osp.isfile(config):
        raise CheckpointError(f'no such config: {config}')
    content = read_checkpoint(path)
    state, meta = weights_of(content, path)
    backbone = find_backbone(content, path)
    method = backbone.meta.get('method')
    if part == 'backbone':
        state = {f'backbone.{k}': v for k, v in backbone.weights.items()}
    wanted = str(Config.fromfile(config).model.type).lower()
    # what the hosts' own methods are is not told by their weights
    own = wanted in METHODS or method
    if own and method != wanted or backbone.meta.get('supervised'):
        what = f'of {method}' if method else f'a {backbone.source}'
        raise CheckpointError(f'{path!r} is {what}, and {config} trains '
                              f'{wanted}')
    name = osp.splitext(osp.basename(config))[0]
    meta = provenance(
        path,
        dict(meta, **backbone.meta),
        config=f'{name}.py',
        part=part,
        method=method,
        architecture=backbone.architecture.name)
    # mmengine reads a key 'config' as the text of a config
    meta['config_name'] = meta.pop('config')
    if osp.exists(folder) and not osp.isdir(folder):
        raise CheckpointError(f'{folder!r} is a file; name a folder')
    os.makedirs(folder, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as inner:
        draft = osp.join(inner, 'model.pth')
        write_checkpoint(dict(state_dict=state, meta=meta), draft)
        result = osp.join(folder, f'{name}_{date}-{sha256(draft)[:8]}.pth')
        check_output(result, path)
        os.replace(draft, result)
    return result


def zoo_entry(config: str,
              path: str,
              url: Optional[str] = None) -> Dict[str, Any]:
    """A model of a metafile.

    Args:
        config (str): The config.
        path (str): The published file.
        url (str, optional): Folder where it will be. Defaults to its path.

    Returns:
        dict[str, Any]: As openmim reads it.
    """
    cfg = Config.fromfile(config)
    meta = read_checkpoint(path)['meta']
    name = osp.splitext(osp.basename(config))[0]
    method = str(cfg.model.type).lower()
    batch = re.search(r'_(\d+)xb(\d+)', name)
    metadata = dict(Architecture=meta['architecture'])
    if 'epoch' in meta:
        metadata['Epochs'] = meta['epoch']
    if batch:
        metadata['Batch Size'] = int(batch[1]) * int(batch[2])
    return {
        'Name': name,
        'In Collection': TITLES.get(method, str(cfg.model.type)),
        'Metadata': metadata,
        'Config': f'configs/selfsup/{method}/{osp.basename(config)}',
        'Weights': f'{url.rstrip("/")}/{osp.basename(path)}' if url else path,
        'Results': None,
    }


def enter(entry: Dict[str, Any], metafile: str) -> str:
    """Enter a model in a metafile, whose comments and order stay.

    Args:
        entry (dict[str, Any]): Of :func:`zoo_entry`.
        metafile (str): The file. A model of that name gets the weights; a
            new one goes to the end.

    Returns:
        str: What was done.

    Raises:
        CheckpointError: The file is no metafile.
    """
    try:
        with open(metafile, encoding='utf-8') as file:
            text = file.read()
        before = yaml.safe_load(text)
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise CheckpointError(
            f'{metafile!r} is no YAML: {str(error).splitlines()[0]}'
        ) from error
    if not isinstance(before, dict) or not before.get('Models'):
        raise CheckpointError(f'{metafile!r} lists no Models')
    names = [model['Name'] for model in before['Models']]
    weights = f'    Weights: {entry["Weights"]}\n'
    if entry['Name'] in names:
        start = re.search(rf'^  - Name: {re.escape(entry["Name"])}\s*$', text,
                          re.MULTILINE)
        end = text.find('\n  - Name: ', start.end())
        block = text[start.start():end if end > 0 else len(text)]
        changed = re.sub(r'^    Weights:.*\n', '', block, flags=re.MULTILINE)
        changed = re.sub(
            r'^    Config:.*\n',
            lambda match: match[0] + weights,
            changed,
            flags=re.MULTILINE)
        text = text.replace(block, changed, 1)
        done = f'weights of {entry["Name"]} entered in {metafile}'
    else:
        lines = yaml.safe_dump([entry], sort_keys=False).splitlines()
        text = text.rstrip('\n') + '\n\n' + ''.join(f'  {line}\n'
                                                    for line in lines)
        done = f'{entry["Name"]} added to {metafile}'
    models = {model['Name']: model for model in yaml.safe_load(text)['Models']}
    if models[entry['Name']].get('Weights') != entry['Weights']:
        raise CheckpointError(
            f'{metafile!r}: the entry of {entry["Name"]} has no Config line '
            'of its own, behind which the weights could stand')

    write_whole(metafile, text)
    return done
