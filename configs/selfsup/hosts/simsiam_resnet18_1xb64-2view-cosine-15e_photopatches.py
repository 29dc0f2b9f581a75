_base_ = [
    '../_base_/models/simsiam.py',
    '../_base_/datasets/photopatches_weak.py',
    '../_base_/schedules/hosts_15e.py',
]

# All widths a quarter, as the backbone's.
model = dict(
    backbone=_base_.small_backbone,
    neck=dict(in_channels=512, hid_channels=512, out_channels=512),
    head=dict(
        predictor=dict(in_channels=512, hid_channels=128, out_channels=512)))
# The hosts' configs have 0.03 for MoCo and 0.05 for SimSiam at the same batch;
# this is in that proportion to MoCo's 0.06.
lr = 0.1
optim_wrapper = dict(
    optimizer=dict(lr=lr),
    paramwise_cfg=dict(custom_keys=dict(predictor=dict(fix_lr=True))))
# The predictor's learning rate does not fall.
custom_hooks = [
    dict(
        type='mmselfsup.SimSiamHook', priority='HIGH', fix_pred_lr=True, lr=lr)
]
