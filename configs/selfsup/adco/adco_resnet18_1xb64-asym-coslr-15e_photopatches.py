_base_ = [
    '../_base_/models/adco_resnet18.py', '../_base_/datasets/photopatches.py',
    '../_base_/views/adco_48px.py', '../_base_/schedules/sgd_15e.py'
]

# The settings with which the original's own loop was measured.
train_dataloader = dict(dataset=dict(pipeline=_base_.train_pipeline))
# The cosine ends at a fiftieth of the learning rate, as in the presets.
param_scheduler = [dict(_base_.cosine, eta_min=0.0012)]
