_base_ = 'resnet50_head1_4xb64-steplr1e-1-20e_in1k-10pct.py'
# The hosts' weight decay is five times that of 10 %.
train_dataloader = dict(dataset=dict(ann_file='meta/train_1percent.txt'))
optim_wrapper = dict(optimizer=dict(weight_decay=5e-4))
default_hooks = dict(
    results=dict(
        task='semi_imagenet_1pct',
        protocol='fine-tuned on 1 %, SGD lr 0.1, 20 epochs'))
