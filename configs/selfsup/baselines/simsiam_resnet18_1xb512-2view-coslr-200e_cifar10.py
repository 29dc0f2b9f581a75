_base_ = './simsiam_resnet18_1xb128-2view-coslr-200e_cifar10.py'

# Four times the rate for four times the batch.
train_dataloader = dict(batch_size=512)
lr = 4.8
optim_wrapper = dict(optimizer=dict(lr=lr))
custom_hooks = [dict(_base_.hook, lr=lr)]
auto_scale_lr = dict(base_batch_size=512)
