_base_ = './caco_resnet50_32xb64-multicrop-warmcos-800e_in1k.py'

param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, end=10),
    dict(
        type='CosineAnnealingLR', T_max=190, eta_min=0.024, begin=10, end=200)
]
train_cfg = dict(max_epochs=200)
