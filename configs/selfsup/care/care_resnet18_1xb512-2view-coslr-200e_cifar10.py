_base_ = './care_resnet18_1xb128-2view-coslr-200e_cifar10.py'

# Four times the rate for four times the batch.
train_dataloader = dict(batch_size=512)
optim_wrapper = dict(optimizer=dict(lr=4.8))
auto_scale_lr = dict(base_batch_size=512)
