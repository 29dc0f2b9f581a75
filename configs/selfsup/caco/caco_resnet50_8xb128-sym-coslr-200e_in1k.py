_base_ = [
    '../_base_/models/caco.py',
    '../_base_/datasets/imagenet.py',
    '../_base_/views/caco.py',
    '../_base_/schedules/caco_200e.py',
]

model = dict(memory=dict(lr=dict(warmup=_base_.warmup_epochs)))
train_dataloader = dict(
    batch_size=128, dataset=dict(pipeline=_base_.train_pipeline))
