_base_ = './adco_resnet50_8xb32-asym-coslr-200e_in1k.py'

model = dict(query_views=(0, 1), key_views=(0, 1))
