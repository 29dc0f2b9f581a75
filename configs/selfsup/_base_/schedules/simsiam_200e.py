_base_ = './lars_200e.py'

# The predictor's learning rate is constant, as in the host's own config.
fixed = dict(custom_keys=dict(predictor=dict(fix_lr=True)))
optim_wrapper = dict(paramwise_cfg=fixed)
hook = dict(
    type='mmselfsup.SimSiamHook',
    fix_pred_lr=True,
    lr=_base_.lr,
    priority='HIGH')
custom_hooks = [hook]
