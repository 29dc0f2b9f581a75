# The base files of mmselfsup's benchmarks. Its own configs cannot be
# inherited, because mmengine would look for their names in mmselfsup.
_base_ = [
    'mmcls::_base_/models/resnet50.py',
    'mmcls::_base_/datasets/imagenet_bs32_pil_resize.py',
    'mmcls::_base_/schedules/imagenet_bs256.py',
    'mmcls::_base_/default_runtime.py', '../../_base_/transfer.py'
]
# Load as in pre-training; the hosts' loader rotates pictures by EXIF.
train_pipeline = [dict(type='LoadImage'), *_base_.train_pipeline[1:]]
test_pipeline = [dict(type='LoadImage'), *_base_.test_pipeline[1:]]
loader = dict(collate_fn=dict(type='default_collate'), persistent_workers=True)
train_dataloader = dict(**loader, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(**loader, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

randomness = dict(seed=0)
default_hooks = dict(
    checkpoint=dict(interval=10, max_keep_ckpts=3, save_best='accuracy/top1'),
    **_base_.transfer_hooks)
