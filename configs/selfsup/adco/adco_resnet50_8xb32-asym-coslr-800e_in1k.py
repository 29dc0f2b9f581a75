_base_ = [
    './adco_resnet50_8xb32-asym-coslr-200e_in1k.py',
    '../_base_/schedules/adco_800e.py'
]

param_scheduler = _base_.schedule_800e
train_cfg = dict(max_epochs=800)
