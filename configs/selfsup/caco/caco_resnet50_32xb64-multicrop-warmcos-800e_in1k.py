_base_ = './caco_resnet50_32xb64-multicrop-warmcos-200e_in1k.py'

param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, end=10),
    dict(
        type='CosineAnnealingLR',
        T_max=790,
        eta_min_ratio=0.01,
        begin=10,
        end=800)
]
train_cfg = dict(max_epochs=800)
