_base_ = './caco_resnet50_8xb128-sym-coslr-200e_in1k.py'

# The same rule, 0.3 for each 256 pictures, at a global batch of 4096.
optim_wrapper = dict(optimizer=dict(lr=4.8))
auto_scale_lr = dict(base_batch_size=4096)
