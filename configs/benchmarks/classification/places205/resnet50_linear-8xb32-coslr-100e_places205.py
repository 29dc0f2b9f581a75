_base_ = [
    '../imagenet/resnet50_linear-8xb32-coslr-100e_in1k.py',
    '../_base_/places205.py'
]
# AdCo's command for Places205. Test pictures lose their aspect ratio. The
# original's cosine of 24 epochs repeats and ends at 3.8; here it ends at 0.
model = dict(head=dict(num_classes=205))
data_preprocessor = dict(num_classes=205)
test_pipeline = _base_.test_pipeline
test_pipeline[1] = dict(type='Resize', scale=(256, 256), backend='pillow')
train, val = _base_.places_train, _base_.places_val
train.update(_delete_=True, pipeline=_base_.train_pipeline)
val.update(_delete_=True, pipeline=test_pipeline)
train_dataloader = dict(dataset=train)
val_dataloader = test_dataloader = dict(dataset=val)
optim_wrapper = dict(optimizer=dict(lr=5.))
param_scheduler = dict(eta_min=0.)
task = 'linear_places205'
protocol = 'AdCo: SGD lr 5, cosine to 0, 100 epochs'
default_hooks = dict(results=dict(task=task, protocol=protocol))
