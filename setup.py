"""What pyproject.toml cannot say: ``.mim`` and the start-up file."""
import os
import os.path as osp
import shutil
from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = osp.dirname(osp.abspath(__file__))
# What openmim and mmengine look for in `.mim` of an installed package.
MIM_EXTENSION = ('configs', 'tools', 'model-index.yml')
# Not in a wheel; the scripts work on a clone.
LEFT_OUT = shutil.ignore_patterns('__pycache__', '*.py[co]', 'setup_env.sh',
                                  'build_mmcv.sh', 'run_tests.sh',
                                  'quickstart.sh')


class BuildForMim(build_py):
    """``build_py`` that also provides ``caco_ext/.mim`` and the start-up hook.

    An editable installation gets links into the clone, so that an edited
    config counts at once; everything else gets copies in the build folder.
    """

    def run(self) -> None:
        """Build the package, then the rest."""
        super().run()
        base = ROOT if self.editable_mode else self.build_lib
        mim = osp.join(base, 'caco_ext', '.mim')
        # An earlier build may have left configs that are gone by now.
        shutil.rmtree(mim, ignore_errors=True)
        os.makedirs(mim)
        for name in MIM_EXTENSION:
            source, target = osp.join(ROOT, name), osp.join(mim, name)
            if self.editable_mode:
                os.symlink(osp.relpath(source, mim), target)
            elif osp.isdir(source):
                shutil.copytree(source, target, ignore=LEFT_OUT)
            else:
                shutil.copy2(source, target)
        # The finder that setuptools makes for an editable installation knows
        # the package only. What stands beside it goes into the wheel, which
        # is unpacked in `install_lib`.
        site = self.build_lib
        if self.editable_mode:
            site = self.get_finalized_command('install').install_lib
        self.copy_startup(site)

    def copy_startup(self, folder: str) -> None:
        """Put the start-up module where Python runs it when it starts.

        Args:
            folder (str): What becomes ``site-packages``.
        """
        shutil.copyfile(
            osp.join(ROOT, 'caco_ext', 'utils', 'startup.py'),
            osp.join(folder, 'caco_ext_startup.py'))
        with open(osp.join(folder, 'caco_ext_startup.pth'), 'w') as f:
            f.write('import caco_ext_startup\n')


setup(cmdclass=dict(build_py=BuildForMim))
