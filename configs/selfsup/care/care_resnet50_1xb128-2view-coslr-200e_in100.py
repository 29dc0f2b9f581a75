_base_ = './care_resnet18_1xb256-2view-coslr-200e_in100.py'

model = dict(
    backbone=dict(depth=50),
    attention=dict(in_channels=1024, out_channels=2048),
    neck=dict(in_channels=2048),
    attention_neck=dict(in_channels=2048))
train_dataloader = dict(batch_size=128)
optim_wrapper = dict(optimizer=dict(lr=1.2))
auto_scale_lr = dict(base_batch_size=128)
