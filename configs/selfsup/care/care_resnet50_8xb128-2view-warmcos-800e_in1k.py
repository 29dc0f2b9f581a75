_base_ = './care_resnet50_8xb128-2view-warmcos-100e_in1k.py'

param_scheduler = [
    _base_.warmup,
    dict(
        type='CosineAnnealingLR',
        T_max=790,
        eta_min=0,
        begin=10,
        end=800,
        convert_to_iter_based=True)
]
train_cfg = dict(max_epochs=800)
