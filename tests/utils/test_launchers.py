"""What started a process is read from the environment."""
import pytest

from caco_ext.utils.launchers import (choose_launcher, is_first_process,
                                      started_by)

TORCHRUN = dict(
    RANK='1',
    LOCAL_RANK='1',
    WORLD_SIZE='2',
    MASTER_ADDR='localhost',
    MASTER_PORT='1')
# A batch script without srun, and a shell of salloc on newer systems.
BATCH = dict(
    SLURM_JOB_ID='70000',
    SLURM_PROCID='0',
    SLURM_NTASKS='8',
    SLURM_NODELIST='n[1-2]')
SALLOC = dict(BATCH, SLURM_STEP_ID='4294967290', SLURM_STEP_NUM_TASKS='1')
SRUN = dict(BATCH, SLURM_STEP_ID='0', SLURM_STEP_NUM_TASKS='8')
MPIRUN = dict(
    OMPI_COMM_WORLD_RANK='3',
    OMPI_COMM_WORLD_SIZE='4',
    OMPI_COMM_WORLD_LOCAL_RANK='3',
    OMPI_COMM_WORLD_LOCAL_SIZE='4')


@pytest.mark.parametrize('environ, launcher', [
    ({}, 'none'),
    (TORCHRUN, 'pytorch'),
    (dict(TORCHRUN, WORLD_SIZE='1', RANK='0'), 'none'),
    (dict(WORLD_SIZE='2'), 'none'),
    (BATCH, 'none'),
    (SALLOC, 'none'),
    (SRUN, 'slurm'),
    (dict(SRUN, **TORCHRUN), 'pytorch'),
    (MPIRUN, 'mpi'),
    (dict(SRUN, **MPIRUN), 'mpi'),
])
def test_found_out(environ, launcher):
    assert choose_launcher(None, dict(environ)) == launcher
    found = started_by(environ)
    assert (found.name if found else 'none') == launcher


@pytest.mark.parametrize('environ, program, variable', [
    (TORCHRUN, 'torchrun started 2 processes', 'WORLD_SIZE'),
    (SRUN, 'srun started 8 processes', 'SLURM_STEP_NUM_TASKS'),
    (MPIRUN, 'mpirun started 4 processes', 'OMPI_COMM_WORLD_SIZE'),
])
def test_separate_runs_are_refused(environ, program, variable):
    with pytest.raises(ValueError) as caught:
        choose_launcher('none', dict(environ))
    line = str(caught.value)
    assert line.startswith(f'--launcher none: {program}')
    assert line.endswith(f'env -u {variable} python ...')
    alone = {k: v for k, v in environ.items() if k != variable}
    assert choose_launcher('none', alone) == 'none'


@pytest.mark.parametrize('given, environ, missing', [
    ('pytorch', {}, 'RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT'),
    ('slurm', SALLOC, None),
    ('slurm', {}, 'SLURM_PROCID, SLURM_NTASKS, SLURM_NODELIST'),
    ('mpi', dict(MPIRUN, OMPI_COMM_WORLD_LOCAL_SIZE='2'), 'MASTER_ADDR'),
])
def test_a_named_launcher_must_be_there(given, environ, missing):
    if missing is None:
        assert choose_launcher(given, dict(environ)) == given
        return
    with pytest.raises(ValueError, match=f'has not set {missing};'):
        choose_launcher(given, dict(environ))


def test_what_a_launcher_leaves_open():
    environ = dict(SRUN)
    choose_launcher(None, environ)
    assert environ['MASTER_PORT'] == str(15000 + 70000 % 15000)
    environ['MASTER_PORT'] = '1'
    choose_launcher(None, environ)
    assert environ['MASTER_PORT'] == '1'
    environ = dict(MPIRUN)
    choose_launcher(None, environ)
    assert environ['MASTER_ADDR'] == '127.0.0.1'
    assert environ['LOCAL_RANK'] == '3'


def test_the_first_process_writes_for_all():
    others = (TORCHRUN, MPIRUN, dict(SRUN, SLURM_PROCID='5'))
    assert not any(map(is_first_process, others))
    first = ({}, dict(TORCHRUN, RANK='0'), SRUN, SALLOC,
             dict(TORCHRUN, RANK='1', WORLD_SIZE='1'))
    assert all(map(is_first_process, first))
