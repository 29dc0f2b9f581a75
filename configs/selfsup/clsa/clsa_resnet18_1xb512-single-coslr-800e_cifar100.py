_base_ = './clsa_resnet18_1xb512-single-coslr-800e_cifar10.py'

data_root = 'torchvision:CIFAR100'
dataset = dict(data_root=data_root)
train_dataloader = dict(dataset=dataset)
default_hooks = dict(knn=dict(train_dataset=dataset, test_dataset=dataset))
