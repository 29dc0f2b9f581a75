_base_ = 'resnet50_linear-8xb32-coslr-100e_in1k.py'
# The probe of CARE: an unsynchronised batch norm follows the linear layer. The
# learning rate is 0.2 per 256 pictures and falls in every iteration.
model = dict(head=dict(type='LinearNormHead'))
optim_wrapper = dict(optimizer=dict(lr=0.2))
param_scheduler = dict(
    T_max=80, eta_min=0., end=80, convert_to_iter_based=True)
train_cfg = dict(max_epochs=80)
auto_scale_lr = dict(base_batch_size=256)
default_hooks = dict(
    results=dict(
        protocol='CARE: linear and batch norm, SGD lr 0.2, 80 epochs'))
