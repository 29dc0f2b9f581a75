"""VOC2007 classification on a frozen backbone.

Trains linear SVMs if the config has their ``costs``, else the linear layer.
"""
# Fixes the hosts and registers the package, before any config is read.
import caco_ext  # noqa: F401
from caco_ext.transfer.runner import run_benchmark
from caco_ext.transfer.voc07_sgd import measure_sgd
from caco_ext.transfer.voc07_svm import measure_svm
from caco_ext.utils.extras import import_extra


def measure(cfg, model):
    """Measure by the protocol that the config describes.

    Args:
        cfg (Config): The config.
        model (FrozenBackbone): The backbone.

    Returns:
        tuple[dict, dict]: Metrics, and further entries of the results.
    """
    import_extra('sklearn', 'data', 'VOC07')
    return (measure_svm if 'costs' in cfg else measure_sgd)(cfg, model)


if __name__ == '__main__':
    run_benchmark(__doc__, measure, ('data_root', 'pipeline'))
