_base_ = './cifar10.py'

# --data ROOT of tools/train.py names the pictures.
data_root = 'data/pictures'
knn_pipeline = [
    dict(type='LoadImage'),
    dict(type='mmcls.ResizeEdge', scale=96, edge='short', backend='pillow'),
    dict(type='CenterCrop', crop_size=96),
    dict(type='mmselfsup.PackSelfSupInputs', algorithm_keys=['gt_label']),
]
labelled = dict(data_root=data_root, pipeline=knn_pipeline)
train_dataloader = dict(dataset=dict(data_root=data_root))
default_hooks = dict(
    knn=dict(
        train_dataset=labelled,
        test_dataset=dict(**labelled, split='val'),
        k=20,
        temperature=0.07))
