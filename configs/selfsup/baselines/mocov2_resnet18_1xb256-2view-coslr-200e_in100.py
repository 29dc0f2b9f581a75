_base_ = [
    '../_base_/models/mocov2_resnet18.py',
    '../_base_/datasets/imagenet100.py',
    '../_base_/views/adco.py',
    '../_base_/schedules/lars_200e.py',
]

model = dict(queue_len=16384)
train_dataloader = dict(dataset=dict(pipeline=_base_.train_pipeline))
optim_wrapper = dict(optimizer=dict(lr=2.4))
auto_scale_lr = dict(base_batch_size=256)
