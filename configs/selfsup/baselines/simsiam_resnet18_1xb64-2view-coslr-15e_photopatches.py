_base_ = [
    '../_base_/models/simsiam.py', '../_base_/datasets/photopatches_weak.py',
    '../_base_/schedules/sgd_15e.py'
]

# All widths are a quarter, like the backbone's.
neck = dict(in_channels=512, hid_channels=512, out_channels=512)
predictor = dict(in_channels=512, hid_channels=128, out_channels=512)
model = dict(
    backbone=_base_.resnet18, neck=neck, head=dict(predictor=predictor))
# The hosts' configs have 0.03 for MoCo and 0.05 for SimSiam with the same
# batch. This has the same ratio to MoCo's 0.06. The predictor's is constant.
lr = 0.1
fixed = dict(custom_keys=dict(predictor=dict(fix_lr=True)))
optim_wrapper = dict(optimizer=dict(lr=lr), paramwise_cfg=fixed)
hook = dict(type='mmselfsup.SimSiamHook', fix_pred_lr=True, lr=lr)
custom_hooks = [dict(**hook, priority='HIGH')]
