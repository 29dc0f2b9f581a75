# The parts that mmselfsup's benchmark is made of. Its own file cannot be
# inherited: names in it would be looked for in mmselfsup, not in mmcls.
_base_ = [
    'mmcls::_base_/models/resnet50.py',
    'mmcls::_base_/datasets/imagenet_bs32_pil_resize.py',
    'mmcls::_base_/schedules/imagenet_bs256.py',
    'mmcls::_base_/default_runtime.py'
]
custom_imports = dict(imports=['caco_ext'], allow_failed_imports=False)

# The hosts' grid of rates: optim_wrapper.optimizer.lr, and of the head
# optim_wrapper.paramwise_cfg.custom_keys.head.lr_mult.
model = dict(backbone=dict(norm_cfg=dict(type='SyncBN')))
train_dataloader = dict(
    batch_size=64,
    collate_fn=dict(type='default_collate'),
    persistent_workers=True,
    dataset=dict(ann_file='meta/train_1percent.txt'))
val_dataloader = dict(
    collate_fn=dict(type='default_collate'), persistent_workers=True)
test_dataloader = val_dataloader
optim_wrapper = dict(
    optimizer=dict(lr=0.1, weight_decay=5e-4),
    paramwise_cfg=dict(custom_keys=dict(head=dict(lr_mult=1.))))
param_scheduler = dict(milestones=[12, 16], gamma=0.2)
train_cfg = dict(max_epochs=20)

randomness = dict(seed=0)
default_hooks = dict(
    checkpoint=dict(interval=10, max_keep_ckpts=3, save_best='accuracy/top1'),
    pretrained=dict(type='PretrainedBackboneHook', checkpoint=None),
    data_check=dict(type='DataCheckHook'),
    results=dict(
        type='ResultsHook',
        task='semi_imagenet_1pct',
        protocol='fine-tuned on 1 %, SGD lr 0.1, 20 epochs'))
