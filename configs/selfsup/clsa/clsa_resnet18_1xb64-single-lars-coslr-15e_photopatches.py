_base_ = [
    '../_base_/models/clsa_resnet18.py', '../_base_/datasets/photopatches.py',
    '../_base_/views/clsa_48px.py', '../_base_/schedules/caco_15e.py'
]

# CaCo's optimizer: the best of the search.
train_dataloader = dict(dataset=dict(pipeline=_base_.train_pipeline))
