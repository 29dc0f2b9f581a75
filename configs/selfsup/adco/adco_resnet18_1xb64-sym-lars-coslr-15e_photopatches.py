_base_ = [
    '../_base_/models/adco_resnet18.py', '../_base_/datasets/photopatches.py',
    '../_base_/views/adco_48px.py', '../_base_/schedules/caco_15e.py'
]

# The symmetric mode with CaCo's optimizer: the best of the search.
model = dict(query_views=(0, 1), key_views=(0, 1))
train_dataloader = dict(dataset=dict(pipeline=_base_.train_pipeline))
