_base_ = [
    '../_base_/models/caco.py',
    '../_base_/datasets/imagenet.py',
    '../_base_/views/caco_multicrop.py',
    '../_base_/schedules/caco_200e.py',
]

model = dict(
    query_views=(0, 1, 2, 3, 4, 5, 6, 7),
    key_views=(0, 1),
    memory=dict(lr=dict(warmup=_base_.warmup_epochs)))
train_dataloader = dict(
    batch_size=64, dataset=dict(pipeline=_base_.train_pipeline))
# 0.3 for each 256 pictures, at a global batch of 2048.
optim_wrapper = dict(optimizer=dict(lr=2.4))
auto_scale_lr = dict(base_batch_size=2048)
