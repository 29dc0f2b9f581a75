_base_ = './caco_200e.py'

# For batches of 128, as the search on CIFAR-10 found it (docs/small_data.md).
# By the rule of the ImageNet presets it would be 0.15.
lr = 1.2

optim_wrapper = dict(optimizer=dict(lr=lr))
# By iterations, because a whole epoch of a short run is too long for a step.
warmup = dict(_base_.warmup, start_factor=0.01, convert_to_iter_based=True)
param_scheduler = [warmup, _base_.cosine]
auto_scale_lr = dict(base_batch_size=128)
