_base_ = [
    '../_base_/models/care_resnet18.py', '../_base_/datasets/photopatches.py',
    '../_base_/views/care_32px.py', '../_base_/schedules/care_15e.py'
]

model = dict(fuse_views=True)
train_dataloader = dict(dataset=dict(pipeline=_base_.train_pipeline))
