_base_ = ['./photopatches.py', '../views/adco.py']

# Two weak views of 48 pixels: what AdCo sees, for the hosts' own methods.
train_pipeline = _base_.train_pipeline
train_pipeline[1].transforms[0][0].update(size=48)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
