_base_ = './caco_resnet18_1xb64-sym-warmcos-15e_photopatches.py'

# The settings at which the original's own loop was measured.
model = dict(fuse_views=False)
train_pipeline = _base_.train_pipeline
train_pipeline[1].transforms[0][0].update(size=48, scale=(0.2, 1.0))
train_pipeline[1].transforms[1][0].update(size=48, scale=(0.2, 1.0))
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
