_base_ = './cifar10.py'

# Trains on the 100,000 unlabelled pictures of 96 pixels.
# Download: torchvision.
data_root = 'torchvision:STL10'
knn_pipeline = [
    dict(type='LoadImage'),
    dict(type='mmcls.ResizeEdge', scale=96, edge='short', backend='pillow'),
    dict(type='CenterCrop', crop_size=96),
    dict(type='mmselfsup.PackSelfSupInputs', algorithm_keys=['gt_label']),
]
labelled = dict(data_root=data_root, pipeline=knn_pipeline)
train_dataloader = dict(
    batch_size=256,
    num_workers=8,
    dataset=dict(data_root=data_root, split='unlabeled'))
default_hooks = dict(knn=dict(train_dataset=labelled, test_dataset=labelled))
