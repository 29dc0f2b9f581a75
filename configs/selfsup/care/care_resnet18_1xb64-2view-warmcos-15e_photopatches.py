_base_ = [
    '../_base_/models/care.py',
    '../_base_/datasets/photopatches.py',
    '../_base_/views/care.py',
    '../_base_/schedules/care_100e.py',
]

projector = dict(in_channels=512, hid_channels=512)
predictor = dict(hid_channels=512)
model = dict(
    fuse_views=True,
    backbone=_base_.small_backbone,
    attention=dict(
        in_channels=256,
        out_channels=512,
        img_size=32,
        num_blocks=2,
        head_channels=32),
    neck=projector,
    attention_neck=projector,
    predictor=predictor,
    attention_predictor=predictor)
crop = dict(type='ViewCrop', size=32, scale=(0.2, 1.0))
train_pipeline = [
    dict(type='LoadImage'),
    dict(
        type='MultiCrop',
        num_views=[1, 1],
        transforms=[[crop, _base_.first], [crop, _base_.second]]),
    dict(type='mmselfsup.PackSelfSupInputs', meta_keys=['img_path']),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
# Of a small search; see "Measured here" in README.md.
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(type='CaCoLARS', lr=1.2, momentum=0.9, weight_decay=1.5e-6))
param_scheduler = [
    dict(
        type='InclusiveLinearLR',
        start_factor=1e-6 / 1.2,
        end=1,
        convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        T_max=14,
        eta_min=0,
        begin=1,
        end=15,
        convert_to_iter_based=True)
]
train_cfg = dict(max_epochs=15)
auto_scale_lr = dict(base_batch_size=64)
