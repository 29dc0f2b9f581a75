_base_ = ['./photopatches.py', '../views/adco_48px.py']

# Two weak views of 48 pixels, as in AdCo, for the hosts' own methods.
train_dataloader = dict(dataset=dict(pipeline=_base_.train_pipeline))
