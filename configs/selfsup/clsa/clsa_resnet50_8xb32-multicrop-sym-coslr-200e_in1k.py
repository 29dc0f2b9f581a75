_base_ = './clsa_resnet50_8xb32-multicrop-coslr-200e_in1k.py'

model = dict(query_views=(1, 2, 3, 4, 5, 0), key_views=(0, 1))
