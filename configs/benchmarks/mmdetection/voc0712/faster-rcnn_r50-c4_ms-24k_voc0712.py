_base_ = [
    'mmdet::pascal_voc/faster-rcnn_r50-caffe-c4_ms-18k_voc0712.py',
    '../../_base_/multi_scale.py', '../../_base_/transfer.py',
    '../_base_/voc0712.py'
]
# The hook loads backbone and shared head.
model = dict(data_preprocessor=_base_.rgb, **_base_.trained_c4)
# The two years differ in an entry that has to be ignored.
train_dataloader = dict(dataset=dict(ignore_keys=['dataset_type']))
train_cfg = dict(max_iters=24000, val_interval=2000)
param_scheduler = _base_.param_scheduler
param_scheduler[1].update(end=24000, milestones=[18000, 22000])
val_evaluator = _base_.voc_evaluators
test_evaluator = val_evaluator
val_dataloader = dict(dataset=dict(pipeline=_base_.voc_test_pipeline))
test_dataloader = val_dataloader
default_hooks = dict(
    checkpoint=dict(interval=2000),
    **_base_.transfer_hooks,
    results=_base_.voc_results)
