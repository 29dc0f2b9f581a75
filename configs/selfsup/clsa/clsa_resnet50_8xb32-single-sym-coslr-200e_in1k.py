_base_ = './clsa_resnet50_8xb32-single-coslr-200e_in1k.py'

# The key view is also a query, and the weak view is also a key.
model = dict(query_views=(1, 0), key_views=(0, 1))
