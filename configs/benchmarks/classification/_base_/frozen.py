# Common settings of the benchmarks on frozen features. The checkpoint
# determines the depth.
default_scope = 'mmcls'
custom_imports = dict(imports=['caco_ext'], allow_failed_imports=False)
seed = 0
# A folder that stores features for the next probe of the same checkpoint.
cache = None
batch_size = 64
num_workers = 4
data_preprocessor = dict(
    type='mmselfsup.SelfSupDataPreprocessor',
    mean=(123.675, 116.28, 103.53),
    std=(58.395, 57.12, 57.375),
    bgr_to_rgb=True)
pipeline = [
    dict(type='LoadImage'),
    dict(type='mmcls.ResizeEdge', scale=256, edge='short', backend='pillow'),
    dict(type='CenterCrop', crop_size=224),
    dict(type='mmselfsup.PackSelfSupInputs', algorithm_keys=['gt_label'])
]
