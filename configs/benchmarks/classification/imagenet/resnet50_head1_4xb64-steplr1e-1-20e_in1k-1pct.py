_base_ = 'mmselfsup::benchmarks/classification/imagenet/imagenet_1percent/resnet50_head1_4xb64-steplr1e-1-20e_in1k-1pct.py'  # noqa: E501
custom_imports = dict(imports=['caco_ext'], allow_failed_imports=False)

randomness = dict(seed=0)
default_hooks = dict(
    checkpoint=dict(save_best='accuracy/top1'),
    pretrained=dict(type='PretrainedBackboneHook', checkpoint=None),
    data_check=dict(type='DataCheckHook'),
    results=dict(
        type='ResultsHook',
        task='semi_imagenet_1pct',
        protocol='fine-tuned on 1 %, SGD lr 0.1, 20 epochs'))
