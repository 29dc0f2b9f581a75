"""Log how many pictures could not be read."""
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner


@HOOKS.register_module()
class BrokenPicturesHook(Hook):
    """Logs the number of broken pictures after each training epoch.

    The loader workers of all ranks are counted together, each picture once.
    Nothing is logged while all pictures are readable. The scalar is
    ``train/broken_pictures``. Data sets without such a count are left alone.

    Args:
        max_listed (int): How many newly found paths are named per epoch.
            Defaults to 5.
    """

    changes_numbers = False

    def __init__(self, max_listed: int = 5) -> None:
        self.max_listed = max_listed
        self._reported = 0

    def after_train_epoch(self, runner: Runner) -> None:
        """Log the count of the epoch that ended.

        Raises:
            RuntimeError: The ranks together found too many.
        """
        dataset = runner.train_loop.dataloader.dataset
        if not hasattr(dataset, 'broken'):
            return
        indices = dataset.broken.indices(reduce=True)
        if not indices:
            return
        runner.message_hub.update_scalar('train/broken_pictures', len(indices))
        paths = [
            dataset.get_data_info(i)['img_path']
            for i in indices[:self.max_listed]
        ] if len(indices) > self._reported else []
        self._reported = len(indices)
        runner.logger.warning(
            f'{len(indices)} of {len(dataset)} pictures cannot be read and '
            'are replaced by others' + (': ' if paths else '') +
            ', '.join(paths) +
            (', ...' if paths and len(paths) < len(indices) else ''))
        if len(indices) > dataset.broken.limit:
            # A single rank may have found too few to stop by itself.
            listed = '\n  '.join(
                dataset.get_data_info(i)['img_path'] for i in indices[:20])
            raise RuntimeError(
                f'{len(indices)} of {len(dataset)} pictures cannot be read, '
                f'more than max_broken_share={dataset.broken.max_share} '
                f'allows; mend or remove them:\n  {listed}')
