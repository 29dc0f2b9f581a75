_base_ = './care_resnet50_8xb128-2view-warmcos-100e_in1k.py'

# One GPU: 0.05 for each 256 pictures, warmed up from 1e-6.
optim_wrapper = dict(optimizer=dict(lr=0.025))
param_scheduler = _base_.param_scheduler
param_scheduler[0].update(start_factor=4e-5)
auto_scale_lr = dict(base_batch_size=128)
