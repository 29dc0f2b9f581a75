_base_ = [
    '../_base_/models/adco.py',
    '../_base_/datasets/imagenet.py',
    '../_base_/views/adco_multicrop.py',
    '../_base_/schedules/adco_200e.py',
]

# View 0 gives the keys. There is one query of each size.
model = dict(query_views=(1, 2, 3, 4, 5), key_views=(0, ))
train_dataloader = dict(
    batch_size=32, dataset=dict(pipeline=_base_.train_pipeline))
