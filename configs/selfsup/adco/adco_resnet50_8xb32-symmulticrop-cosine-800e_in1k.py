_base_ = './adco_resnet50_8xb32-symmulticrop-cosine-200e_in1k.py'

param_scheduler = [
    dict(type='CosineAnnealingLR', T_max=800, eta_min=0.0006, end=800)
]
train_cfg = dict(max_epochs=800)
