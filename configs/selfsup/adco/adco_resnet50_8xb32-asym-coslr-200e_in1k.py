_base_ = [
    '../_base_/models/adco.py',
    '../_base_/datasets/imagenet.py',
    '../_base_/views/adco.py',
    '../_base_/schedules/adco_200e.py',
]

train_dataloader = dict(
    batch_size=32, dataset=dict(pipeline=_base_.train_pipeline))
