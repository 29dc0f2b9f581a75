_base_ = '../_base_/frozen.py'
data_root = 'data/VOCdevkit/VOC2007'
# 1, 10, 100 and 1/2^4 .. 1/2^19, as in the hosts' benchmark.
costs = [1., 10., 100.] + [0.5**n for n in range(4, 20)]
shots = [1, 2, 4, 8, 16, 32, 64, 96]
# Low-shot splits of each k.
samples = 5
# Processes that train SVMs; -1 for all cores.
jobs = -1
results = dict(
    task='voc07_svm',
    protocol='linear SVMs on unit features, cost by 3 folds of trainval')
