# The parts that mmselfsup's benchmarks are made of. Its own files cannot be
# inherited: names in them would be looked for in mmselfsup, not in mmcls.
_base_ = [
    'mmcls::_base_/models/resnet50.py',
    'mmcls::_base_/datasets/imagenet_bs32_pil_resize.py',
    'mmcls::_base_/schedules/imagenet_bs256.py',
    'mmcls::_base_/default_runtime.py', '../../_base_/transfer.py'
]
loader = dict(collate_fn=dict(type='default_collate'), persistent_workers=True)
train_dataloader = dict(**loader)
val_dataloader = dict(**loader)
test_dataloader = val_dataloader

randomness = dict(seed=0)
default_hooks = dict(
    checkpoint=dict(interval=10, max_keep_ckpts=3, save_best='accuracy/top1'),
    **_base_.transfer_hooks)
