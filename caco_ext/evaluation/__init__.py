from .features import (evaluation_mode, features_and_labels, gather_shards,
                       one_view, pool_features, preserve_rng)
from .knn import (knn_accuracy, knn_correct, knn_predict, knn_scores,
                  name_accuracies, rank_classes, vote)
from .knn_data import KNNData, KNNPart, compare_pictures, find_knn_options
from .knn_features import KNNFeatures
from .labelled import (LabelledPictures, build_feature_loader, choose_share,
                       read_labels, translate_labels)
from .linear_probe import ProbeResult, check_probe, linear_probe_accuracy
from .nearest import check_knn_options, nearest_neighbours

__all__ = [
    'KNNData', 'KNNFeatures', 'KNNPart', 'LabelledPictures', 'ProbeResult',
    'build_feature_loader', 'check_knn_options', 'check_probe', 'choose_share',
    'compare_pictures', 'evaluation_mode', 'features_and_labels',
    'find_knn_options', 'gather_shards', 'knn_accuracy', 'knn_correct',
    'knn_predict', 'knn_scores', 'linear_probe_accuracy', 'name_accuracies',
    'nearest_neighbours', 'one_view', 'pool_features', 'preserve_rng',
    'rank_classes', 'read_labels', 'translate_labels', 'vote'
]
