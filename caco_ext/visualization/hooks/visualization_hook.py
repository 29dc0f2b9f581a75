"""Log pictures of a run while it trains."""
from typing import TYPE_CHECKING, Optional

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from caco_ext.engine.hooks.knn_hook import KNNHook
from caco_ext.evaluation import preserve_rng
from caco_ext.utils.models import unwrap_model

if TYPE_CHECKING:
    from ..run_features import RunFeatures


@HOOKS.register_module()
class VisualizationHook(Hook):
    """Log neighbours, and where the network looks, as pictures.

    They go to every back end of the visualizer (files, TensorBoard, Weights
    & Biases, MLflow, ...) under the names 'neighbours' and 'attention', with
    the epoch as step. The data sets are those of the run's
    :class:`KNNHook`. The training's random numbers do not change. If
    something cannot be drawn, an error is logged and the training goes on.

    Args:
        interval (int): Epochs between two pictures; the last epoch always
            gives some. Defaults to 5.
        queries (int): Test pictures that are shown. Defaults to 6.
        neighbours (int): Training pictures beside each. Defaults to 5.
        attention (bool): Whether to show where the network looks, see
            :func:`caco_ext.visualization.look`. Defaults to True.

    Raises:
        ValueError: A number is below 1.
    """

    # After the training's log lines, before the checkpoint of the epoch.
    priority = 'LOW'
    changes_numbers = False

    def __init__(self,
                 interval: int = 5,
                 queries: int = 6,
                 neighbours: int = 5,
                 attention: bool = True) -> None:
        for name, value in (('interval', interval), ('queries', queries),
                            ('neighbours', neighbours)):
            if value < 1:
                raise ValueError(
                    f'{name}={value} of VisualizationHook must be at '
                    'least 1')
        self.interval = interval
        self.queries = queries
        self.neighbours = neighbours
        self.attention = attention
        self._knn: Optional[KNNHook] = None

    def before_run(self, runner: Runner) -> None:
        """Find the data sets, so that errors come before the training."""
        hooks = [hook for hook in runner.hooks if isinstance(hook, KNNHook)]
        if not hooks:
            raise ValueError(
                'VisualizationHook shows pictures of the data sets of '
                'KNNHook, which is not among the hooks; add it, '
                'or take VisualizationHook out')
        self._knn = hooks[0]

    def after_train_epoch(self, runner: Runner) -> None:
        """Draw and log. All ranks must call it: they share the extraction."""
        if not (self.every_n_epochs(runner, self.interval)
                or self.is_last_train_epoch(runner)):
            return
        # Imported here: only this hook needs matplotlib.
        from ..run_features import RunFeatures
        with preserve_rng():
            features = RunFeatures(None, None, unwrap_model(runner.model),
                                   self._knn and self._knn.data)
            # all ranks extract, the first one draws
            features.train, features.test
            if not is_main_process():
                return
            try:
                self._draw(runner, features)
            except Exception as error:  # must not end the training
                runner.logger.error(
                    f'VisualizationHook: {type(error).__name__}: {error}; the '
                    'training goes on without these pictures')

    def _draw(self, runner: Runner, features: 'RunFeatures') -> None:
        from ..attention_gallery import look
        from ..neighbours import find_neighbours, neighbours_gallery
        from ..static import gallery_picture
        epoch = runner.epoch + 1
        rows = find_neighbours(features, self.queries, self.neighbours)
        galleries = dict(
            neighbours=neighbours_gallery(rows, f'Neighbours, epoch {epoch}'))
        if self.attention:
            galleries['attention'] = look(
                features.model, [row.pictures[0] for row in rows],
                title=f'Where it looks, epoch {epoch}')
        for name, gallery in galleries.items():
            runner.visualizer.add_image(name, gallery_picture(gallery), epoch)
