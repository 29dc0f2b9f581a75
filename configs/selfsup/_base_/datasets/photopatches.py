_base_ = '../default_runtime.py'

# Crops of the photographs in scikit-image and scikit-learn, made on first use.
# data_root=FOLDER uses a folder of pictures instead.
train_dataloader = dict(
    batch_size=64,
    num_workers=1,
    drop_last=True,
    persistent_workers=True,
    pin_memory=True,
    sampler=dict(type='EpochSeededSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
    dataset=dict(type='PhotoPatches', split='train'))

# Pictures of 64 x 64 pixels, such as the bundled ones, do not change.
knn_pipeline = [
    dict(type='LoadImage'),
    dict(type='mmcls.ResizeEdge', scale=64, edge='short', backend='pillow'),
    dict(type='CenterCrop', crop_size=64),
    dict(type='mmselfsup.PackSelfSupInputs', algorithm_keys=['gt_label']),
]
default_hooks = dict(
    logger=dict(interval=20),
    metrics=dict(interval=20),
    checkpoint=dict(interval=5, save_best='knn/top1', rule='greater'),
    knn=dict(
        type='KNNHook',
        train_dataset=dict(
            type='PhotoPatches',
            split='train',
            with_labels=True,
            pipeline=knn_pipeline),
        test_dataset=dict(
            type='PhotoPatches',
            split='val',
            with_labels=True,
            pipeline=knn_pipeline),
        k=20,
        temperature=0.07,
        interval=5,
        save_features=True))
