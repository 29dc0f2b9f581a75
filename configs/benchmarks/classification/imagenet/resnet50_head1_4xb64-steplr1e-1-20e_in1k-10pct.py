_base_ = '../_base_/resnet50_in1k.py'
# To search the hosts' grid of learning rates, set
# optim_wrapper.optimizer.lr, and for the head
# optim_wrapper.paramwise_cfg.custom_keys.head.lr_mult.
model = dict(backbone=dict(norm_cfg=dict(type='SyncBN')))
train_dataloader = dict(
    batch_size=64, dataset=dict(ann_file='meta/train_10percent.txt'))
optim_wrapper = dict(
    optimizer=dict(lr=0.1, weight_decay=1e-4),
    paramwise_cfg=dict(custom_keys=dict(head=dict(lr_mult=1.))))
param_scheduler = dict(milestones=[12, 16], gamma=0.2)
train_cfg = dict(max_epochs=20)
default_hooks = dict(
    results=dict(
        type='ResultsHook',
        task='semi_imagenet_10pct',
        protocol='fine-tuned on 10 %, SGD lr 0.1, 20 epochs'))
