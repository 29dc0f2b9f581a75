_base_ = './adco_resnet50_8xb32-multicrop-coslr-200e_in1k.py'

# Not in the original: both large views give keys, and all six are queries.
model = dict(query_views=(0, 1, 2, 3, 4, 5), key_views=(0, 1))
