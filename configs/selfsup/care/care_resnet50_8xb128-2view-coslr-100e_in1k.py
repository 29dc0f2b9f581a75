_base_ = [
    '../_base_/models/care.py',
    '../_base_/datasets/imagenet.py',
    '../_base_/views/care.py',
    '../_base_/schedules/care_100e.py',
]

train_dataloader = dict(
    batch_size=128, dataset=dict(pipeline=_base_.train_pipeline))
