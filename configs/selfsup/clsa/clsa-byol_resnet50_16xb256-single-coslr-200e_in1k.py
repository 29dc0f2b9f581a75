_base_ = [
    '../_base_/models/byol.py', '../_base_/schedules/hosts_lars_200e.py',
    '../_base_/datasets/imagenet.py', '../_base_/views/clsa.py'
]

# BYOL with a strong view; the target network's projections are the keys.
# Optimizer and batch are those of the host's config.
model = dict(
    type='StrongViews',
    base='mmselfsup.BYOL',
    key_encoder='target_net',
    memory=dict(type='FeatureQueue', num_columns=65536, dim=256),
    alpha=1.0,
    strong_views=(2, ))
train_dataloader = dict(
    batch_size=256, dataset=dict(pipeline=_base_.train_pipeline))
optim_wrapper = dict(optimizer=dict(lr=4.8))
auto_scale_lr = dict(base_batch_size=4096, enable=False)
