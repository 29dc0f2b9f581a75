_base_ = [
    './caco_resnet50_8xb128-sym-coslr-200e_in1k.py',
    '../_base_/schedules/caco_800e.py'
]

param_scheduler = [_base_.warmup, _base_.cosine_800e]
train_cfg = dict(max_epochs=800)
