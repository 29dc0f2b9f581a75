_base_ = ['faster-rcnn_r50-c4_ms-24k_voc0712.py', '../../_base_/resnet50w2.py']
model = _base_.wide_c4
