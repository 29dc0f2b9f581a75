_base_ = [
    '../_base_/models/adco_resnet18.py',
    '../_base_/datasets/own_pictures.py',
    '../_base_/views/adco_96px.py',
    '../_base_/schedules/lars_200e.py',
]

model = dict(
    query_views=(0, 1),
    key_views=(0, 1),
    memory=dict(num_columns=16384, lr=0.8))
train_dataloader = dict(
    batch_size=256, dataset=dict(pipeline=_base_.train_pipeline))
optim_wrapper = dict(optimizer=dict(lr=2.4))
auto_scale_lr = dict(base_batch_size=256)
