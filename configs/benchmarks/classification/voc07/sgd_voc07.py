_base_ = '../_base_/frozen.py'
data_root = 'data/VOCdevkit/VOC2007'
# AdCo's and CLSA's protocol, with the faults of the original corrected:
# trainval, frozen batch norms, ImageNet's normalisation, a cosine over all
# epochs.
lr = 0.05
momentum = 0.9
epochs = 100
# Of all processes together.
batch_size = 16
seed = 2019
# Adds the number that the original prints, which is not VOC's mAP.
per_image = False
results = dict(
    task='voc07_sgd',
    protocol='linear layer, SGD lr 0.05, 100 epochs, trainval, five crops')
