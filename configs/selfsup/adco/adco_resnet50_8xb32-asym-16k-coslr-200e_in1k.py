_base_ = './adco_resnet50_8xb32-asym-coslr-200e_in1k.py'

# The authors give results of this size and no command: all else is as with
# 65536 columns.
model = dict(memory=dict(num_columns=16384))
