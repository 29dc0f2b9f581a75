_base_ = [
    '../_base_/models/adco_resnet18.py', '../_base_/datasets/photopatches.py',
    '../_base_/views/adco.py', '../_base_/schedules/caco_15e.py'
]

# The symmetric mode with CaCo's optimizer: the best of the search.
model = dict(
    backbone=_base_.small_backbone, query_views=(0, 1), key_views=(0, 1))
train_pipeline = _base_.train_pipeline
train_pipeline[1].transforms[0][0].update(size=48)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
