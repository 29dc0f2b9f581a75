_base_ = [
    './caco_resnet50_32xb128-sym-coslr-200e_in1k.py',
    '../_base_/schedules/caco_800e.py'
]

# The authors give a result of this length and no command.
param_scheduler = [_base_.warmup, _base_.cosine_800e]
train_cfg = dict(max_epochs=800)
