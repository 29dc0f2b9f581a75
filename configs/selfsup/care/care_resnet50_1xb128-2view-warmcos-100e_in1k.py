_base_ = './care_resnet50_8xb128-2view-warmcos-100e_in1k.py'

# One GPU: 0.05 for each 256 pictures, warmed up from 1e-6.
optim_wrapper = dict(optimizer=dict(lr=0.025))
param_scheduler = [
    dict(
        type='InclusiveLinearLR',
        start_factor=4e-5,
        end=10,
        convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        T_max=90,
        eta_min=0,
        begin=10,
        end=100,
        convert_to_iter_based=True)
]
auto_scale_lr = dict(base_batch_size=128)
