_base_ = './care_resnet50_8xb128-2view-coslr-100e_in1k.py'

epochs = 400
cosine = dict(_base_.cosine, T_max=epochs - _base_.warmup_epochs, end=epochs)
param_scheduler = [_base_.warmup, cosine]
train_cfg = dict(max_epochs=epochs)
