# Places205, in the layout of its own archive and lists.
places = dict(
    type='mmselfsup.Places205',
    data_root='data/Places205/',
    data_prefix=dict(img_path='data/vision/torralba/deeplearning/images256/'))
places_train = dict(
    **places, ann_file='trainvalsplit_places205/train_places205.csv')
places_val = dict(
    **places, ann_file='trainvalsplit_places205/val_places205.csv')
