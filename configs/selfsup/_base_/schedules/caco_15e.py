_base_ = './caco_200e.py'

# The warm-up at which the original's own loop was measured.
param_scheduler = _base_.param_scheduler
param_scheduler[0].update(start_factor=1.0, end=1)
param_scheduler[1].update(T_max=14, begin=1, end=15)
train_cfg = dict(max_epochs=15)
auto_scale_lr = dict(base_batch_size=64)
