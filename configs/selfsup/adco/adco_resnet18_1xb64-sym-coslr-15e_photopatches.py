_base_ = './adco_resnet18_1xb64-asym-coslr-15e_photopatches.py'

model = dict(query_views=(0, 1), key_views=(0, 1))
