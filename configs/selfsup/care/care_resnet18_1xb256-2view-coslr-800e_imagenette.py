_base_ = [
    '../_base_/models/care_resnet18.py',
    '../_base_/datasets/imagenette.py',
    '../_base_/views/care_128px.py',
    '../_base_/schedules/lars_200e.py',
]

model = dict(attention=dict(img_size=128))
train_dataloader = dict(dataset=dict(pipeline=_base_.train_pipeline))
optim_wrapper = dict(optimizer=dict(lr=2.4))
auto_scale_lr = dict(base_batch_size=256)
param_scheduler = [
    _base_.warmup,
    dict(_base_.cosine, T_max=790, end=800),
]
train_cfg = dict(max_epochs=800)
