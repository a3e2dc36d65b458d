from contextlib import ExitStack
from typing import Callable, Union

from mmengine.model import is_model_wrapper
from mmengine.runner import Runner as BaseRunner
from mmengine.runner.checkpoint import _load_checkpoint, load_state_dict
from torch import nn

from mmskf.registry import RUNNERS
from mmskf.weights import select_weights, training_state, weights_in

from .faults import dead_workers_explained, signals_restored
from .resume import newest_checkpoint
from .work_dir_lock import locked


@RUNNERS.register_module()
class Runner(BaseRunner):
    """mmengine's Runner, for trainings that nothing is lost of and nothing goes wrong silently in.

    - ``resume=True`` goes on from the newest whole checkpoint of the work dir (``resume='auto'`` also where ``load_from`` says
      what a new training starts from), and says which; where there are checkpoints and none is whole, it stops.
    - Weights fit the model, all of them, or the training stops before it starts. ``load_partial=True`` in the config lets it
      start from those of ``load_from`` that fit.
    - A work dir has one training at a time.
    - The error that ends it says what happened.

    Args:
        **kwargs: See ``mmengine.runner.Runner``.
    """

    def train(self) -> nn.Module:
        """Trains, or goes on training.

        Raises:
            WorkDirInUseError: If another training writes to the work dir.
            ValueError: If there is no whole checkpoint to go on from, or its weights do not fit.
        """
        with ExitStack() as stack:
            stack.enter_context(locked(self.work_dir, self.logger))
            stack.enter_context(signals_restored())
            stack.enter_context(dead_workers_explained())
            self._choose_checkpoint()
            return super().train()

    def val(self) -> dict:
        """Validates."""
        with dead_workers_explained():
            return super().val()

    def test(self) -> dict:
        """Tests."""
        with dead_workers_explained():
            return super().test()

    def _choose_checkpoint(self):
        """Settles what the training goes on from, before anything is built that depends on its seed."""
        if not self._resume or self._has_loaded:
            return
        if self._load_from is None or self._resume == 'auto':
            newest = newest_checkpoint(self.work_dir)
            if newest is None:
                self._resume = False
                self.logger.info(f'There is no checkpoint in {self.work_dir} yet: the training starts at its beginning')
                return
            self._load_from = str(newest)
        if '://' in self._load_from:
            return
        meta = training_state(self._load_from)
        self.logger.info(f'The training goes on from {self._load_from}, iteration {meta["iter"]}')
        if meta.get('seed') is not None and meta['seed'] != self.seed:
            self._randomness_cfg.update(seed=meta['seed'])
            self.set_randomness(**self._randomness_cfg)

    def load_checkpoint(self,
                        filename: str,
                        map_location: Union[str, Callable] = 'cpu',
                        strict: bool = True,
                        revise_keys: list = ()) -> dict:
        """Loads weights that fit the model; only knowledge bank and discriminator may be absent.

        Args:
            filename (str): Path or URL.
            map_location (str or callable): As for ``torch.load``. Defaults to 'cpu'.
            strict (bool): Not used: ``load_partial`` of the config says whether a part is enough.
            revise_keys (list): Not used: 'module.' before the keys is left out.

        Returns:
            dict: The whole checkpoint.

        Raises:
            FileNotFoundError, WeightsError: Without such a file, or if it does not fit; see
                :func:`mmskf.weights.select_weights`.
        """
        checkpoint = _load_checkpoint(filename, map_location=map_location)
        model = self.model.module if is_model_wrapper(self.model) else self.model
        weights = select_weights(weights_in(checkpoint, filename), model.state_dict(), filename,
                                 partial=False if self._resume else bool(self.cfg.get('load_partial')))
        checkpoint = dict(checkpoint if 'state_dict' in checkpoint else {}, state_dict=weights)
        self.call_hook('after_load_checkpoint', checkpoint=checkpoint)
        load_state_dict(model, checkpoint['state_dict'], strict=False, logger='silent')
        self._has_loaded = True
        self.logger.info(f'Load checkpoint from {filename}')
        return checkpoint
