_base_ = './adco_resnet50_8xb32-sym-coslr-200e_in1k.py'

# The authors' preset for few negatives changes both temperatures and the
# learning rate too.
model = dict(
    head=dict(temperature=0.14),
    memory=dict(num_columns=8192, temperature=0.03))
optim_wrapper = dict(optimizer=dict(lr=0.04))
