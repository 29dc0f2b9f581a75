# As caco_200e.py, but four times as long. The warm-up stays 10 epochs.
cosine_800e = dict(
    type='CosineAnnealingLR', T_max=790, eta_min_ratio=0.01, begin=10, end=800)
