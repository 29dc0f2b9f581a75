"""Build and installation of caco_ext."""
import os
import os.path as osp
import shutil
from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = osp.dirname(osp.abspath(__file__))
# What openmim and mmengine look for in `.mim` of an installed package.
MIM_EXTENSION = ('configs', 'tools', 'model-index.yml')
# These work on a clone, not on an installed package.
CLONE_ONLY = ('setup_env.sh', 'build_mmcv.sh', 'run_tests.sh', 'quickstart.sh')


def read(*path: str) -> str:
    """Read a text file of the project.

    Args:
        path (str): Its path relative to the project's root, in parts.

    Returns:
        str: Its contents.
    """
    with open(osp.join(ROOT, *path), encoding='utf-8') as f:
        return f.read()


def get_version() -> str:
    """Read the version without importing the package.

    Returns:
        str: The version.
    """
    namespace = {}
    exec(read('caco_ext', 'version.py'), namespace)
    return namespace['__version__']


def get_requirements() -> list:
    """What the built package requires, from ``requirements/runtime.txt``.

    That file pins what was tested together. Where a line ends with
    ``# package: OTHER``, OTHER is required instead, nothing for ``-``.

    Returns:
        list[str]: The requirements.
    """
    requirements = []
    for line in read('requirements', 'runtime.txt').splitlines():
        pin, _, comment = line.partition('#')
        if not pin.strip():
            continue
        key, _, instead = comment.strip().partition(': ')
        wanted = instead.strip() if key == 'package' else pin.strip()
        if wanted != '-':
            requirements.append(wanted)
    return requirements


class BuildForMim(build_py):
    """``build_py`` that also provides ``caco_ext/.mim`` and the start-up hook.

    An editable installation gets links into the clone, so that an edited
    config counts at once; everything else gets copies in the build folder.
    """

    def run(self) -> None:
        """Build the package, then the rest."""
        super().run()
        if self.editable_mode:
            self.link_mim(osp.join(ROOT, 'caco_ext', '.mim'))
            # The finder that setuptools makes knows the package only. What
            # stands beside it goes into the wheel, which is unpacked here.
            site = self.get_finalized_command('install').install_lib
            self.copy_startup(site)
        else:
            self.copy_mim(osp.join(self.build_lib, 'caco_ext', '.mim'))
            self.copy_startup(self.build_lib)

    def link_mim(self, folder: str) -> None:
        """Fill ``folder`` with links.

        Args:
            folder (str): ``.mim`` in the clone.
        """
        os.makedirs(folder, exist_ok=True)
        for name in MIM_EXTENSION:
            link = osp.join(folder, name)
            target = osp.relpath(osp.join(ROOT, name), folder)
            if osp.islink(link) and os.readlink(link) == target:
                continue
            if osp.islink(link) or osp.isfile(link):
                os.remove(link)
            elif osp.isdir(link):
                shutil.rmtree(link)
            os.symlink(target, link)

    def copy_mim(self, folder: str) -> None:
        """Fill ``folder`` with copies.

        Args:
            folder (str): ``.mim`` in the build folder.
        """
        # An earlier build may have left configs that are gone by now.
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        for name in MIM_EXTENSION:
            source, target = osp.join(ROOT, name), osp.join(folder, name)
            if osp.isdir(source):
                shutil.copytree(
                    source,
                    target,
                    ignore=shutil.ignore_patterns('__pycache__', '*.py[co]',
                                                  *CLONE_ONLY))
            else:
                shutil.copy2(source, target)

    def copy_startup(self, folder: str) -> None:
        """Put ``caco_ext/startup.py`` where Python runs it when it starts.

        Args:
            folder (str): What becomes ``site-packages``.
        """
        shutil.copyfile(
            osp.join(ROOT, 'caco_ext', 'startup.py'),
            osp.join(folder, 'caco_ext_startup.py'))
        with open(
                osp.join(folder, 'caco_ext_startup.pth'), 'w',
                encoding='utf-8') as f:
            f.write('import caco_ext_startup\n')


setup(
    name='caco_ext',
    version=get_version(),
    description='AdCo, CaCo, CLSA and CARE pre-training for OpenMMLab',
    long_description=read('README.md'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    keywords='computer vision, self-supervised learning, contrastive',
    classifiers=[
        'Development Status :: 4 - Beta',
        'Intended Audience :: Science/Research',
        'Operating System :: POSIX :: Linux',
        'Programming Language :: Python :: 3.10',
        'Programming Language :: Python :: 3.11',
        'Programming Language :: Python :: 3.12',
        'Topic :: Scientific/Engineering :: Artificial Intelligence',
    ],
    packages=find_packages(include=('caco_ext', 'caco_ext.*')),
    python_requires='>=3.10',
    install_requires=get_requirements(),
    cmdclass=dict(build_py=BuildForMim),
    zip_safe=False)
