_base_ = './clsa_resnet50_8xb32-multicropsym-cosine-200e_in1k.py'

param_scheduler = [
    dict(type='CosineAnnealingLR', T_max=800, eta_min=0, end=800)
]
train_cfg = dict(max_epochs=800)
