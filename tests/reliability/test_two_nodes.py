"""Two nodes: network namespaces, each with one end of a cable."""
import os
import signal
import subprocess
import time

import pytest

from tests.helpers import ROOT
from tests.helpers.processes import environment, run_tool, write_config
from tests.helpers.tiny_runs import differences, read
from tests.helpers.warm_python import warm_python

pytestmark = pytest.mark.slow

TIMEOUT = 10
OPTIONS = [
    '--cfg-options', 'train_dataloader.batch_size=2', 'default_hooks.knn=None',
    f'env_cfg.dist_cfg.timeout={TIMEOUT}'
]


def ip(*arguments) -> str:
    return subprocess.run(['ip', *arguments],
                          check=True,
                          stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE,
                          text=True).stdout


class Node:
    """A network namespace with an address of its own.

    Args:
        rank (int): 0 or 1.
    """

    def __init__(self, rank):
        self.rank = rank
        self.name = f'node{rank}-{os.getpid()}'
        self.cable = f'c{rank}x{os.getpid()}'
        self.address = f'10.77.0.{rank + 1}'
        ip('netns', 'add', self.name)

    def connect(self):
        """Bring its end of the cable up."""
        ip('-n', self.name, 'link', 'set', 'lo', 'up')
        ip('-n', self.name, 'addr', 'add', f'{self.address}/24', 'dev',
           self.cable)
        ip('-n', self.name, 'link', 'set', self.cable, 'up')
        self.python = warm_python('ip', 'netns', 'exec', self.name)
        self.idle = self.pids()

    def pids(self):
        """set[int]: Its processes."""
        return set(map(int, ip('netns', 'pids', self.name).split()))

    def start(self, folder, config, *options):
        """Start dist_train.sh as a user of this node would."""
        with open(folder / f'{self.rank}.txt', 'w') as output:
            self.job = subprocess.Popen([
                'ip', 'netns', 'exec', self.name, 'bash',
                ROOT / 'tools/dist_train.sh', config, '1', '--work-dir',
                folder / str(self.rank), *OPTIONS, *options
            ],
                                        cwd=folder,
                                        env=environment(
                                            PYTHON=self.python,
                                            NNODES='2',
                                            NODE_RANK=str(self.rank),
                                            MASTER_ADDR='10.77.0.1',
                                            GLOO_SOCKET_IFNAME=self.cable),
                                        stdin=subprocess.DEVNULL,
                                        stdout=output,
                                        stderr=subprocess.STDOUT)

    def kill(self):
        """End all of its processes but the idle server."""
        for pid in self.pids() - self.idle:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # its parent has taken it along


@pytest.fixture(scope='module')
def nodes():
    """list[Node]: Two, connected."""
    made = []
    try:
        made += [Node(0)]
        made += [Node(1)]
        ip('link', 'add', made[0].cable, 'netns', made[0].name, 'type', 'veth',
           'peer', 'name', made[1].cable, 'netns', made[1].name)
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        for node in made:
            ip('netns', 'del', node.name)
        pytest.skip('no network namespace can be made here (needs root and '
                    f'ip): {getattr(error, "stderr", error)}')
    for node in made:
        node.connect()
    yield made
    for node in made:
        node.kill()
        ip('netns', 'del', node.name)


@pytest.fixture
def config(tmp_path):
    return write_config(tmp_path)


def test_equal_one_machine(nodes, config, tmp_path):
    for node in nodes:
        node.start(tmp_path, config, 'train_cfg.max_epochs=2')
    for node in nodes:
        text = tmp_path / f'{node.rank}.txt'
        assert node.job.wait(400) == 0, text.read_text()
    run_tool(
        'dist_train.sh',
        config,
        '2',
        '--work-dir',
        'one',
        *OPTIONS,
        'train_cfg.max_epochs=2',
        cwd=tmp_path)
    one, two = (
        read(tmp_path / name / 'epoch_2.pth') for name in 'one 0'.split())
    assert one['meta']['iter'] == 4
    for key in ('state_dict', 'optimizer', 'param_schedulers', 'run_state'):
        assert not differences(one[key], two[key], key)
    # Rank 0 writes for all.
    assert not (tmp_path / '1' / 'epoch_2.pth').exists()


def test_a_stopped_run_that_one_node_has_is_refused(nodes, config, tmp_path):
    """As without a shared folder: node 1 would begin anew."""
    (tmp_path / '0').mkdir()
    (tmp_path / '0' / 'last_checkpoint').write_text('stopped.pth')
    for node in nodes:
        node.start(tmp_path, config)
    for node in nodes:
        _, output = end_of(node, tmp_path)
        assert 'only ranks [0] of 2 find the stopped run there' in output


def begin(nodes, config, folder):
    """Start a long run and wait for its first checkpoint."""
    for node in nodes:
        node.start(folder, config, 'train_cfg.max_epochs=1000')
    for _ in range(3000):
        if (folder / '0' / 'last_checkpoint').exists():
            return
        time.sleep(0.1)
        assert all(node.job.poll() is None for node in nodes)
    raise AssertionError((folder / '0.txt').read_text())


def end_of(node, folder):
    """(when it met the error, what it printed)."""
    assert node.job.wait(200) != 0
    log, = (folder / str(node.rank)).glob('*/*.log')
    return log.stat().st_mtime, (folder / f'{node.rank}.txt').read_text()


def test_a_cut_link_ends_the_job_on_both(nodes, config, tmp_path):
    begin(nodes, config, tmp_path)
    cut = time.time()
    ip('-n', nodes[1].name, 'link', 'set', nodes[1].cable, 'down')
    try:
        for node in nodes:
            met, output = end_of(node, tmp_path)
            assert f'train.py: error: rank {node.rank}: ' in output
            assert f'Timed out waiting {TIMEOUT}000ms' in output
            # A busy machine takes seconds for the iteration before.
            assert met - cut < TIMEOUT + 20
    finally:
        ip('-n', nodes[1].name, 'link', 'set', nodes[1].cable, 'up')


@pytest.mark.parametrize('dead', [0, 1])
def test_a_node_that_dies_ends_the_other(dead, nodes, config, tmp_path):
    begin(nodes, config, tmp_path)
    died = time.time()
    nodes[dead].kill()
    alive = nodes[1 - dead]
    met, output = end_of(alive, tmp_path)
    assert f'train.py: error: rank {alive.rank}: ' in output
    assert 'closed by peer' in output or 'reset by peer' in output
    # At once: no time limit is waited for.
    assert met - died < TIMEOUT
    nodes[dead].job.wait(60)
