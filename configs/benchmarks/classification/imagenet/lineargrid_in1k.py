_base_ = 'knn_in1k.py'
# For finding a learning rate: the backbone sees each picture once.
cache = 'work_dirs/features'
lrs = [0.1, 0.3, 1., 3., 10., 30.]
probe = dict(epochs=100, batch_size=256, momentum=0.9, weight_decay=0.)
results = dict(
    task='lineargrid_imagenet',
    protocol='linear layers on features of the middle crop, 100 epochs')
