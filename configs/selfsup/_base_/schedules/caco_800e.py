# As caco_200e.py, with the same warm-up.
schedule_800e = [
    dict(type='LinearLR', start_factor=0.1, end=10),
    dict(
        type='CosineAnnealingLR',
        T_max=790,
        eta_min_ratio=0.01,
        begin=10,
        end=800)
]
