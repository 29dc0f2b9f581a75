_base_ = '../imagenet/resnet50_linear-8xb32-coslr-100e_in1k.py'
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
places = dict(
    type='mmselfsup.Places205',
    data_root='data/Places205/',
    data_prefix=dict(img_path='data/vision/torralba/deeplearning/images256/'))
train_dataloader = dict(
    dataset=dict(
        **places,
        _delete_=True,
        ann_file='trainvalsplit_places205/train_places205.csv',
        pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(
        **places,
        _delete_=True,
        ann_file='trainvalsplit_places205/val_places205.csv',
        pipeline=test_pipeline))
test_dataloader = val_dataloader

optim_wrapper = dict(optimizer=dict(lr=5.))
param_scheduler = dict(
    _delete_=True,
    type='CosineAnnealingLR',
    T_max=100,
    by_epoch=True,
    begin=0,
    end=100)
default_hooks = dict(
    results=dict(
        task='linear_places205',
        protocol='AdCo: SGD lr 5, cosine to 0, 100 epochs'))
