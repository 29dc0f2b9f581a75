"""Find out which launcher started this process, and how many others."""
import re
from typing import Mapping, MutableMapping, NamedTuple, Optional, Tuple


class Launcher(NamedTuple):
    """A program that starts several processes.

    Attributes:
        name (str): mmengine's name for it.
        program (str): The command that a user types.
        rank (str): The variable with the number of this process.
        processes (str): The variable with the number of processes.
        needs (tuple[str]): The variables that mmengine reads.
    """
    name: str
    program: str
    rank: str
    processes: str
    needs: Tuple[str, ...]


# Order matters: under slurm, mpirun uses srun to start its processes on
# several nodes, and srun may start one torchrun per node.
_LAUNCHERS = (
    Launcher('pytorch', 'torchrun', 'RANK', 'WORLD_SIZE',
             ('RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT')),
    Launcher('mpi', 'mpirun', 'OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_SIZE',
             ('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_SIZE',
              'OMPI_COMM_WORLD_LOCAL_RANK', 'MASTER_ADDR')),
    # Not SLURM_NTASKS, the number that a job asked for: a plain `python` under
    # salloc or in a batch script has it too, but is one process.
    Launcher('slurm', 'srun', 'SLURM_PROCID', 'SLURM_STEP_NUM_TASKS',
             ('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_NODELIST')),
)
# Ports that no system assigns by itself and no known service uses.
_FIRST_PORT, _PORTS = 15000, 15000


def started_by(environ: Mapping[str, str]) -> Optional[Launcher]:
    """Find the launcher that started this process as one of several.

    Args:
        environ (Mapping[str, str]): The environment variables.

    Returns:
        Launcher | None: None for a single process.
    """
    for launcher in _LAUNCHERS:
        count = environ.get(launcher.processes, '')
        if launcher.rank in environ and count.isdigit() and int(count) > 1:
            return launcher
    return None


def is_first_process(environ: Mapping[str, str]) -> bool:
    """Whether this process writes for all that were started with it.

    Args:
        environ (Mapping[str, str]): The environment variables.

    Returns:
        bool: True for the first of several, and for a single process.
    """
    launcher = started_by(environ)
    return launcher is None or environ[launcher.rank] == '0'


def processes_on_node(environ: Mapping[str, str]) -> int:
    """Count the processes that a launcher has started on this machine.

    Args:
        environ (Mapping[str, str]): The environment variables.

    Returns:
        int: The number; 1 if no launcher tells it.
    """
    for name in ('LOCAL_WORLD_SIZE', 'OMPI_COMM_WORLD_LOCAL_SIZE',
                 'SLURM_STEP_TASKS_PER_NODE'):
        # Such as 8, or 8(x4),2 for four nodes with eight and one with two.
        counts = re.findall(r'(\d+)(?:\(|,|$)', environ.get(name, ''))
        if counts:
            return max(map(int, counts))
    return 1


def refusal_of_separate_runs(launcher: Launcher, environ: Mapping[str,
                                                                  str]) -> str:
    """Say why processes that were started together must not run alone.

    Args:
        launcher (Launcher): What started them.
        environ (Mapping[str, str]): The environment variables.

    Returns:
        str: One line with the way out.
    """
    return (
        f'{launcher.program} started {environ[launcher.processes]} processes '
        f'({launcher.processes}={environ[launcher.processes]}), and with '
        '--launcher none each of them would do the whole work in the same '
        f'folder: say --launcher {launcher.name}, or for a process of its '
        f'own: env -u {launcher.processes} python ...')


def choose_launcher(given: Optional[str], environ: MutableMapping[str,
                                                                  str]) -> str:
    """Choose the launcher, and complete its environment variables.

    Args:
        given (str | None): Launcher of the command line; None detects it.
        environ (MutableMapping[str, str]): The environment variables. Missing
            ones for port, address of the first process and number on the node
            are added if they can be known.

    Returns:
        str: 'none', 'pytorch', 'slurm' or 'mpi'.

    Raises:
        ValueError: The processes belong together but the command line says
            'none', or a variable is missing.
    """
    found = started_by(environ)
    if given == 'none' and found is not None:
        raise ValueError('--launcher none: ' +
                         refusal_of_separate_runs(found, environ))
    name = given or (found.name if found else 'none')
    if name == 'none':
        return name
    launcher = next(one for one in _LAUNCHERS if one.name == name)
    if name == 'slurm' and environ.get('SLURM_JOB_ID', '').isdigit():
        # With mmengine's 29500, all jobs on a node would share a port.
        port = _FIRST_PORT + int(environ['SLURM_JOB_ID']) % _PORTS
        environ.setdefault('MASTER_PORT', str(port))
    if name == 'mpi':
        if environ.get(launcher.processes) == environ.get(
                'OMPI_COMM_WORLD_LOCAL_SIZE', ''):
            environ.setdefault('MASTER_ADDR', '127.0.0.1')  # one node
        # mmengine uses the GPU of this number, but does not set it here.
        environ.setdefault('LOCAL_RANK',
                           environ.get('OMPI_COMM_WORLD_LOCAL_RANK', '0'))
    missing = [one for one in launcher.needs if one not in environ]
    if missing:
        raise ValueError(
            f'--launcher {name}: {launcher.program} has not set '
            f'{", ".join(missing)}; start the processes with tools/'
            'dist_train.sh or tools/slurm_train.sh, or leave --launcher away '
            'for one process')
    return name
