_base_ = './simclr_resnet18_1xb128-2view-coslr-200e_cifar10.py'

data_root = 'torchvision:CIFAR100'
dataset = dict(data_root=data_root)
train_dataloader = dict(dataset=dataset)
default_hooks = dict(knn=dict(train_dataset=dataset, test_dataset=dataset))
