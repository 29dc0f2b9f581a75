_base_ = './clsa.py'

# The sizes at which the original's own loop was measured.
model = dict(
    neck=dict(in_channels=512, hid_channels=512),
    memory=dict(num_columns=1024),
    momentum=0.99)
