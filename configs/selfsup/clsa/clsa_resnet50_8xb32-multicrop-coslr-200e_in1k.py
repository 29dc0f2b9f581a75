_base_ = [
    '../_base_/models/clsa.py',
    '../_base_/datasets/imagenet.py',
    '../_base_/views/clsa_multicrop.py',
    '../_base_/schedules/clsa_200e.py',
]

model = dict(query_views=(1, 2, 3, 4, 5), strong_views=(6, 7, 8, 9, 10))
train_dataloader = dict(
    batch_size=32, dataset=dict(pipeline=_base_.train_pipeline))
