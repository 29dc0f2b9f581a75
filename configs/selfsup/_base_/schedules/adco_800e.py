# As adco_200e.py, four times as long.
schedule_800e = [
    dict(type='CosineAnnealingLR', T_max=800, eta_min=0.0006, end=800)
]
