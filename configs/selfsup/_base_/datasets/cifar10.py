_base_ = '../default_runtime.py'

# torchvision downloads CIFAR-10 to data/. A folder, shards or Parquet files
# with the parts train and test may be named instead.
data_root = 'torchvision:CIFAR10'

# Pictures of other sizes are scaled for kNN; those of CIFAR do not change.
knn_pipeline = [
    dict(type='LoadImage'),
    dict(type='mmcls.ResizeEdge', scale=32, edge='short', backend='pillow'),
    dict(type='CenterCrop', crop_size=32),
    dict(type='mmselfsup.PackSelfSupInputs', algorithm_keys=['gt_label']),
]
labelled = dict(
    type='ImageFolder',
    data_root=data_root,
    with_labels=True,
    pipeline=knn_pipeline)
train_dataloader = dict(
    batch_size=128,
    num_workers=4,
    drop_last=True,
    persistent_workers=True,
    pin_memory=True,
    sampler=dict(type='EpochSeededSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    dataset=dict(type='ImageFolder', data_root=data_root, split='train'))

default_hooks = dict(
    checkpoint=dict(interval=10, save_best='knn/top1', rule='greater'),
    # The protocol of the published tables: 200 neighbours.
    knn=dict(
        type='KNNHook',
        train_dataset=dict(**labelled, split='train'),
        test_dataset=dict(**labelled, split='test'),
        k=200,
        temperature=0.1,
        interval=10,
        save_features=True))
# ResNet with a 3x3 stem without stride or pooling, for pictures of 32 pixels.
stem3x3 = dict(
    _delete_=True, type='mmcls.ResNet_CIFAR', depth=18, out_indices=[3])
