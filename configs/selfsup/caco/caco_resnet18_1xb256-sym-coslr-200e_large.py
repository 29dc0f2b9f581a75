_base_ = [
    '../_base_/models/caco_resnet18.py',
    '../_base_/datasets/own_pictures.py',
    '../_base_/views/caco_96px.py',
    '../_base_/schedules/lars_200e.py',
]

model = dict(memory=dict(num_columns=16384))
train_dataloader = dict(
    batch_size=256, dataset=dict(pipeline=_base_.train_pipeline))
optim_wrapper = dict(optimizer=dict(lr=2.4))
auto_scale_lr = dict(base_batch_size=256)
