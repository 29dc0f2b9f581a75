"""What the tests of the remedies share."""
import os
import sys

# The remedies for machines without an accelerator are to be tested on
# machines that have one as well.
CPU = {
    **os.environ, 'CUDA_VISIBLE_DEVICES': '',
    'OMP_NUM_THREADS': '1',
    'MKL_NUM_THREADS': '1',
    'PYTHONPATH': os.pathsep.join(p for p in sys.path if p)
}
