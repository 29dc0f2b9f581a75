_base_ = './care_resnet50_8xb128-2view-coslr-100e_in1k.py'

# One GPU: 0.05 for each 256 pictures, warmed up from 1e-6.
lr = 0.025
optim_wrapper = dict(optimizer=dict(lr=lr))
warmup = dict(_base_.warmup, start_factor=1e-6 / lr)
param_scheduler = [warmup, _base_.cosine]
auto_scale_lr = dict(base_batch_size=128)
