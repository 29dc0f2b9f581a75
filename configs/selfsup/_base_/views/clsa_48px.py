_base_ = './clsa.py'

train_pipeline = _base_.train_pipeline
train_pipeline[1].transforms[0][0].update(size=48)
train_pipeline[1].transforms[1][0].update(size=32)
