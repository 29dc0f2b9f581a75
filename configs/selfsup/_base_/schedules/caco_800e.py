# As caco_200e.py, four times as long. The warm-up of 10 epochs is that file's.
cosine_800e = dict(
    type='CosineAnnealingLR', T_max=790, eta_min_ratio=0.01, begin=10, end=800)
