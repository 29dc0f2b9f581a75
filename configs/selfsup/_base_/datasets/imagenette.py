_base_ = './cifar10.py'

# torchvision downloads the version of 160 pixels to data/.
imagenette = dict(
    _delete_=True,
    type='TorchvisionDataset',
    name='Imagenette',
    options=dict(size='160px'),
    download=True)
knn_pipeline = [
    dict(type='LoadImage'),
    dict(type='mmcls.ResizeEdge', scale=128, edge='short', backend='pillow'),
    dict(type='CenterCrop', crop_size=128),
    dict(type='mmselfsup.PackSelfSupInputs', algorithm_keys=['gt_label']),
]
labelled = dict(**imagenette, with_labels=True, pipeline=knn_pipeline)
train_dataloader = dict(
    batch_size=256, num_workers=8, dataset=dict(**imagenette, split='train'))
default_hooks = dict(
    knn=dict(
        train_dataset=dict(**labelled, split='train'),
        test_dataset=dict(**labelled, split='val')))
