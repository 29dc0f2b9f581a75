"""Nearest neighbours on frozen features."""
# Fixes the hosts and registers the package, before any config is read.
import caco_ext  # noqa: F401
from caco_ext.transfer.knn import measure_knn
from caco_ext.transfer.runner import run_benchmark

if __name__ == '__main__':
    run_benchmark(__doc__, measure_knn, ('k', 'train_dataset'))
