_base_ = './cifar10.py'

# ImageNet with a text file of 100 class names, one per line. The list of the
# published tables is that of Tian et al., arXiv:1906.05849.
data_root = 'data/imagenet/'
classes = 'data/imagenet100.txt'
knn_pipeline = [
    dict(type='LoadImage'),
    dict(type='mmcls.ResizeEdge', scale=256, edge='short', backend='pillow'),
    dict(type='CenterCrop', crop_size=224),
    dict(type='mmselfsup.PackSelfSupInputs', algorithm_keys=['gt_label']),
]
source = dict(data_root=data_root, classes=classes)
labelled = dict(**source, pipeline=knn_pipeline)
train_dataloader = dict(batch_size=256, num_workers=16, dataset=source)
# The published tables have 20 neighbours here.
default_hooks = dict(
    knn=dict(train_dataset=labelled, test_dataset=labelled, k=20))
