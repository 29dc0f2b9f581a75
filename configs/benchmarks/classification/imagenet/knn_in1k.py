_base_ = '../_base_/frozen.py'
# The hosts' numbers of neighbours and temperature; CaCo's monitor has k=20
# and 0.2.
k = [10, 20, 100, 200]
temperature = 0.07
# Share of each training class that is searched.
train_share = 1.
train_dataset = dict(
    type='ImageFolder',
    data_root='data/imagenet',
    split='train',
    pipeline=_base_.pipeline)
test_dataset = dict(
    type='ImageFolder',
    data_root='data/imagenet',
    split='val',
    pipeline=_base_.pipeline)
results = dict(
    task='knn_imagenet', protocol='weighted kNN, temperature 0.07, 224 crops')
