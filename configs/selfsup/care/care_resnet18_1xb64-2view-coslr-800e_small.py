_base_ = [
    '../_base_/models/care_resnet18.py',
    '../_base_/datasets/own_pictures.py',
    '../_base_/views/care_96px.py',
    '../_base_/schedules/lars_200e.py',
]

model = dict(attention=dict(img_size=96))
train_dataloader = dict(
    batch_size=64, dataset=dict(pipeline=_base_.train_pipeline))
optim_wrapper = dict(optimizer=dict(lr=0.6))
auto_scale_lr = dict(base_batch_size=64)
param_scheduler = [
    _base_.warmup,
    dict(_base_.cosine, T_max=790, end=800),
]
train_cfg = dict(max_epochs=800)
