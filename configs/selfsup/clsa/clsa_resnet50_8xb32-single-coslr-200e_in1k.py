_base_ = [
    '../_base_/models/clsa.py',
    '../_base_/datasets/imagenet.py',
    '../_base_/views/clsa.py',
    '../_base_/schedules/clsa_200e.py',
]

train_dataloader = dict(
    batch_size=32, dataset=dict(pipeline=_base_.train_pipeline))
