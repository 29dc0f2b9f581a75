"""A Python that has imported torch before it is asked.

Tests start many processes, and each would spend five seconds of a core on the
same imports. :func:`warm_python` gives a program to start in place of
``sys.executable``. It asks a server for a fork of itself, lends it its
streams, folder and environment, passes signals on, and ends as it ends. The
fork has imported neither mmengine, nor a host, nor this package.
"""
import atexit
import gc
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import types
from functools import lru_cache

PRELOADED = ('torch', 'torch._dynamo', 'torch.distributed.optim',
             'torchvision', 'cv2', 'matplotlib.pyplot', 'scipy.stats',
             'sklearn.gaussian_process')
# Runs without site-packages, in a few milliseconds.
CLIENT = '''#!{python} -IS
import json, os, signal, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    socket.send_fds(server, [b'.'], [0, 1, 2])
    with server.makefile('rw') as stream:
        job = dict(arguments=sys.argv[1:], folder=os.getcwd(),
                   environment=dict(os.environ), python=__file__)
        print(json.dumps(job), file=stream, flush=True)
        pid = int(stream.readline())
        for one in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP,
                    signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(one, lambda number, frame: os.kill(pid, number))
        status = int(stream.readline())
if status < 0:
    signal.signal(-status, signal.SIG_DFL) if status != -9 else None
    os.kill(os.getpid(), -status)
sys.exit(status)
'''


@lru_cache(maxsize=None)
def warm_python(*prefix: str) -> str:
    """Start the server of this process, once; gives the path of a program that
    takes the arguments of Python. ``prefix`` is a command that starts the
    server elsewhere, such as ``ip netns exec NAME``."""
    folder = tempfile.TemporaryDirectory(prefix='warm')
    address = os.path.join(folder.name, 'socket')
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(address)
        door.listen(64)
        server = subprocess.Popen(
            [*prefix, sys.executable, __file__,
             str(door.fileno())],
            env=dict(os.environ, OMP_NUM_THREADS='1'),
            stdin=subprocess.PIPE,
            pass_fds=[door.fileno()])
    # a first line of a script cannot name a path with a blank
    plain = os.path.join(folder.name, 'interpreter')
    os.symlink(os.path.realpath(sys.executable), plain)
    client = os.path.join(folder.name, 'python')
    with open(client, 'w') as file:
        file.write(CLIENT.format(python=plain, address=address))
    os.chmod(client, 0o755)

    @atexit.register
    def end():
        server.stdin.close()
        server.wait()
        folder.cleanup()

    return client


def serve(door: socket.socket) -> tuple:
    """Fork for each client, until the process that started this one ends. In
    a fork, gives its job and its three streams."""
    with selectors.DefaultSelector() as waiting:
        waiting.register(door, selectors.EVENT_READ)
        waiting.register(sys.stdin, selectors.EVENT_READ)
        while True:
            if any(key.fileobj is sys.stdin for key, _ in waiting.select()):
                os._exit(0)
            client, _ = door.accept()
            if not os.fork():
                break
            client.close()
            try:
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            except ChildProcessError:
                pass
    door.close()
    _, streams, _, _ = socket.recv_fds(client, 1, 3)
    stream = client.makefile('rw')
    job = json.loads(stream.readline())
    pid = os.fork()
    if pid:
        watch(client, stream, pid)
    stream.close()
    client.close()
    return job, streams


def watch(client: socket.socket, stream, pid: int) -> None:
    """Tell a client how its process ends; end it if the client is gone."""
    print(pid, file=stream, flush=True)
    ends = os.pidfd_open(pid)
    with selectors.DefaultSelector() as waiting:
        waiting.register(client, selectors.EVENT_READ)
        waiting.register(ends, selectors.EVENT_READ)
        if ends not in [key.fileobj for key, _ in waiting.select()]:
            os.kill(pid, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    try:
        print(status, file=stream, flush=True)
    finally:
        os._exit(0)


def become(job: dict, streams: list) -> None:
    """Make this process the one that the client wants."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.stdin = open(0, closefd=False)
    sys.stdout = open(1, 'w', closefd=False)
    sys.stderr = open(2, 'w', buffering=1, closefd=False)
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = \
        sys.stdin, sys.stdout, sys.stderr
    os.chdir(job['folder'])
    os.environ.clear()
    os.environ.update(job['environment'])
    sys.executable = job['python']


def run(arguments: list) -> None:
    """As ``python arguments`` would."""
    import runpy
    if arguments[0] == '-u':
        sys.stdout.reconfigure(line_buffering=True)
        return run(arguments[1:])
    paths = filter(None, os.environ.get('PYTHONPATH', '').split(os.pathsep))
    first = '' if arguments[0] == '-c' else os.getcwd()
    if not arguments[0].startswith('-'):
        first = os.path.dirname(os.path.realpath(arguments[0]))
    sys.path[:] = [first, *paths, *BARE_PATH]
    if arguments[0] == '-c':
        sys.argv = ['-c', *arguments[2:]]
        sys.modules['__main__'] = types.ModuleType('__main__')
        exec(arguments[1], vars(sys.modules['__main__']))
    elif arguments[0] == '-m':
        sys.argv = arguments[1:]
        runpy.run_module(arguments[1], run_name='__main__', alter_sys=True)
    else:
        sys.argv = arguments
        runpy.run_path(arguments[0], run_name='__main__')


def leave(end: BaseException) -> None:
    """End as Python does, without taking apart what is shared with the
    server: to copy its pages takes seconds."""
    status = 0 if end is None else 1
    if isinstance(end, SystemExit):
        if end.code is None or isinstance(end.code, int):
            status = (end.code or 0) & 255
        else:
            print(end.code, file=sys.stderr)
    elif end is not None:
        sys.excepthook(type(end), end, end.__traceback__)
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


if __name__ == '__main__':
    import importlib

    # Without the folder of this script and what PYTHONPATH adds.
    inherited = os.environ.get('PYTHONPATH', '').split(os.pathsep)
    BARE_PATH = [path for path in sys.path[1:] if path not in inherited]
    for name in PRELOADED:
        importlib.import_module(name)
    gc.freeze()
    task, descriptors = serve(socket.socket(fileno=int(sys.argv[1])))
    become(task, descriptors)
    error = None
    try:
        run(task['arguments'])
    except BaseException as raised:
        error = raised
    leave(error)
