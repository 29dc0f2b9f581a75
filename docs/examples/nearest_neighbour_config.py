_base_ = ('caco_ext::selfsup/caco/'
          'caco_resnet18_1xb64-sym-coslr-15e_photopatches.py')
custom_imports = dict(imports=['caco_ext', 'nearest_neighbour'])
model = dict(
    type='NearestNeighbour',
    head=dict(_delete_=True, type='NearestNeighbourHead'),
    memory=dict(_delete_=True, type='FeatureQueue', num_columns=1024, dim=128))
default_hooks = dict(bank_fill=None)  # a queue needs none
