_base_ = './care_resnet50_8xb128-2view-warmcos-100e_in1k.py'

param_scheduler = _base_.param_scheduler
param_scheduler[1].update(T_max=390, end=400)
train_cfg = dict(max_epochs=400)
