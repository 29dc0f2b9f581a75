_base_ = [
    '../imagenet/resnet50_linear-8xb32-coslr-100e_in1k.py',
    '../_base_/places205.py'
]
# AdCo's command for Places205. Its cosine has a period of 24 epochs and does
# not stop, so that the rate ends at 3.8 of 5; here it ends at 0.
model = dict(head=dict(num_classes=205))
data_preprocessor = dict(num_classes=205)

train_pipeline = _base_.train_pipeline
# The aspect ratio is not kept.
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(256, 256), backend='pillow'),
    dict(type='CenterCrop', crop_size=224),
    dict(type='PackClsInputs')
]
train_dataloader = dict(
    dataset=dict(
        **_base_.places_train, _delete_=True, pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(**_base_.places_val, _delete_=True, pipeline=test_pipeline))
test_dataloader = val_dataloader

optim_wrapper = dict(optimizer=dict(lr=5.))
param_scheduler = dict(eta_min=0.)
default_hooks = dict(
    results=dict(
        task='linear_places205',
        protocol='AdCo: SGD lr 5, cosine to 0, 100 epochs'))
