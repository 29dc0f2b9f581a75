_base_ = ['mask-rcnn_r50_fpn_ms-2x_coco.py', '../../_base_/resnet50w2.py']
model = _base_.wide_fpn
