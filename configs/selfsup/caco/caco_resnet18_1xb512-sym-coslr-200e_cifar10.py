_base_ = './caco_resnet18_1xb128-sym-coslr-200e_cifar10.py'

# Four times the rate for four times the batch.
model = dict(memory=dict(num_columns=8192))
train_dataloader = dict(batch_size=512)
optim_wrapper = dict(optimizer=dict(lr=4.8))
auto_scale_lr = dict(base_batch_size=512)
