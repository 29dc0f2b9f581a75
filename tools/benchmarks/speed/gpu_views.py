"""Section 'views' of gpu_check.py: random views that are made on the GPU."""
import random
from typing import Any, Dict, List

import numpy as np
import torch
from gpu_rows import Check
from gpu_training import preset
from gpu_waits import Waits
from mmengine.dataset import default_collate
from mmengine.registry import MODELS, TRANSFORMS, init_default_scope
from torch import Tensor

# Grey levels of 255 by which views may differ from the CPU's on average.
LIMIT = 0.05


def crops(count: int, side: int) -> Dict[str, Any]:
    """A batch as the workers of CLSA's preset send it, with strong views."""
    cfg = preset('CLSA', narrow=False)
    multi, pack = cfg.train_dataloader.dataset.pipeline[1:]
    multi = TRANSFORMS.build(dict(multi, on_device=True))
    meta_keys = [*pack.get('meta_keys', []), 'view_plans']
    pack = TRANSFORMS.build(dict(pack, meta_keys=meta_keys))
    random.seed(0)
    rng = np.random.default_rng(0)
    samples = []
    for i in range(count):
        # Soft shapes, not noise: a rounding error then stays one level.
        coarse = torch.from_numpy(rng.uniform(0, 255, (1, 3, 12, 12)))
        picture = torch.nn.functional.interpolate(
            coarse, size=(side, side), mode='bilinear')[0].permute(1, 2, 0)
        picture = picture.byte().numpy().copy()
        samples.append(pack(multi(dict(img=picture, img_path=f'{i}.jpg'))))
    return default_collate(samples)


def make_views(data: Dict[str, Any], processor: torch.nn.Module, device: str,
               autocast: bool) -> List[Tensor]:
    """The views in levels of 255."""
    with torch.autocast(device, dtype=torch.bfloat16, enabled=autocast):
        made = processor(dict(data), True)[0]
    return [view.float() for view in made]


def views(check: Check) -> None:
    """Equal to the CPU's, also inside autocast; their time and waits."""
    init_default_scope('mmselfsup')
    data = crops(4 if check.tiny else 128, 64 if check.tiny else 256)
    levels = dict(
        type='AugmentDataPreprocessor', mean=(0., ) * 3, std=(1., ) * 3)
    processor = MODELS.build(levels).to(check.device)
    few = dict(
        inputs=[view[:16] for view in data['inputs']],
        data_samples=data['data_samples'][:16])
    wanted = make_views(few, MODELS.build(levels), 'cpu', False)
    for autocast in (False, True):
        got = make_views(few, processor, check.device.type, autocast)
        for name, one, other in zip(('key', 'weak', 'strong'), got, wanted):
            off = (one.cpu() - other).abs()
            mean, most = float(off.mean()), float(off.max())
            check.say(
                f'{name} view' + ' in bf16 autocast' * autocast,
                'ok' if mean <= LIMIT else 'WRONG',
                f'off by {mean:.3f} levels on average, {most:.0f} at most',
                mean=mean,
                most=most)
    if check.on_gpu:
        data['inputs'] = [view.pin_memory() for view in data['inputs']]
    took = check.milliseconds(lambda: processor(dict(data), True), 5, 2)
    with Waits() as waits:
        processor(dict(data), True)
    count = len(data['data_samples'])
    waits.report(check, f'views of {count} pictures', f'{took:.1f} ms')
