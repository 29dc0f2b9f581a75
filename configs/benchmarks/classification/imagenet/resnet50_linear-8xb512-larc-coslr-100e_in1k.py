_base_ = 'resnet50_linear-8xb32-coslr-100e_in1k.py'
# The probe of CaCo: learning rate 0.025 per 256 pictures, so 0.4 at 4096.
train_dataloader = dict(batch_size=512)
optim_wrapper = dict(
    optimizer=dict(type='LARC', lr=0.4, trust_coefficient=0.001))
param_scheduler = dict(eta_min=0.)
auto_scale_lr = dict(base_batch_size=4096)
default_hooks = dict(
    results=dict(
        protocol='CaCo: LARC lr 0.4 at 4096, cosine to 0, 100 epochs'))
