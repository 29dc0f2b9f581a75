"""Linear layers on frozen features, for a grid of learning rates."""
# Fixes the hosts and registers the package, before any config is read.
import caco_ext  # noqa: F401
from caco_ext.transfer.linear_grid import measure_grid
from caco_ext.transfer.runner import run_benchmark

if __name__ == '__main__':
    run_benchmark(__doc__, measure_grid, ('lrs', 'train_dataset'))
