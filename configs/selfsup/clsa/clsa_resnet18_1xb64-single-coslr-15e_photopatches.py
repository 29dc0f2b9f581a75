_base_ = [
    '../_base_/models/clsa_resnet18.py', '../_base_/datasets/photopatches.py',
    '../_base_/views/clsa_48px.py', '../_base_/schedules/sgd_15e.py'
]

# The settings with which the original's own loop was measured.
train_dataloader = dict(dataset=dict(pipeline=_base_.train_pipeline))
