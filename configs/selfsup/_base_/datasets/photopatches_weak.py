_base_ = ['./photopatches.py', '../views/adco.py']

# Two weak views of 48 pixels: what AdCo sees, for the hosts' own methods.
crop = dict(type='ViewCrop', size=48, scale=(0.2, 1.0))
train_pipeline = [
    dict(type='LoadImage'),
    dict(type='MultiCrop', num_views=[2], transforms=[[crop, _base_.weak]]),
    dict(type='mmselfsup.PackSelfSupInputs', meta_keys=['img_path']),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
