from collections.abc import Callable
from contextlib import ExitStack

from mmengine.model import is_model_wrapper
from mmengine.runner import Runner as BaseRunner
from mmengine.runner.checkpoint import _load_checkpoint, load_state_dict
from torch import nn

from mmskf.registry import RUNNERS
from mmskf.weights import select_weights, training_state, weights_in

from .compiling import compile_networks
from .faults import dead_workers_explained, signals_restored, worker_errors_shortened
from .resume import newest_checkpoint
from .work_dir_lock import locked


@RUNNERS.register_module()
class Runner(BaseRunner):
    """mmengine's Runner, hardened so that no training is lost and nothing goes wrong silently.

    - ``resume=True`` resumes from the newest intact checkpoint of the work dir (``resume='auto'`` does so even if ``load_from``
      names the weights that a new training starts from), and says which; if there are checkpoints but none is intact, it stops.
    - All weights match the model, or training stops before it starts. ``load_partial=True`` in the config lets it start from
      those weights of ``load_from`` that match.
    - A work dir has one training at a time.
    - The error that ends a training says what happened.
    - ``compile=True`` in the config, or a dict of options, compiles generator and knowledge bank, in testing too
      (:func:`~mmskf.engine.compiling.compile_networks`).

    Args:
        **kwargs: See ``mmengine.runner.Runner``.
    """

    _resume: bool | str
    _load_from: str | None
    _has_loaded: bool

    def train(self) -> nn.Module:
        """Trains, or resumes training.

        Raises:
            WorkDirInUseError: If another training writes to the work dir.
            ValueError: If there is no intact checkpoint to resume from, or its weights do not match the model.
        """
        with ExitStack() as stack:
            stack.enter_context(locked(self.work_dir, self.logger))
            stack.enter_context(signals_restored())
            stack.enter_context(dead_workers_explained())
            stack.enter_context(worker_errors_shortened())
            self._choose_checkpoint()
            return super().train()

    def val(self) -> dict:
        """Validates."""
        self._maybe_compile('val_step')
        with dead_workers_explained(), worker_errors_shortened():
            return super().val()

    def test(self) -> dict:
        """Tests."""
        self._maybe_compile('test_step')
        with dead_workers_explained(), worker_errors_shortened():
            return super().test()

    def _maybe_compile(self, target: str) -> None:
        """Compiles the networks, where mmengine would compile the whole step, which breaks into many small graphs."""
        options = self.cfg.get('compile')
        if not options:
            return
        model = self.model.module if is_model_wrapper(self.model) else self.model
        compile_networks(model, options)
        self.logger.info('Generator and knowledge bank are compiled: the first iterations take longer, up to minutes')

    def _choose_checkpoint(self) -> None:
        """Chooses the checkpoint to resume from, before anything that depends on its seed is built."""
        if not self._resume or self._has_loaded:
            return
        if self._load_from is None or self._resume == 'auto':
            newest = newest_checkpoint(self.work_dir)
            if newest is None:
                self._resume = False
                self.logger.info(f'There is no checkpoint in {self.work_dir} yet: training starts from the beginning')
                return
            self._load_from = str(newest)
        if '://' in self._load_from:
            return
        meta = training_state(self._load_from)
        self.logger.info(f'Training resumes from {self._load_from}, iteration {meta["iter"]}')
        if meta.get('seed') is not None and meta['seed'] != self.seed:
            self._randomness_cfg.update(seed=meta['seed'])
            self.set_randomness(**self._randomness_cfg)

    def load_checkpoint(self,
                        filename: str,
                        map_location: str | Callable = 'cpu',
                        strict: bool = True,
                        revise_keys: list | None = None) -> dict:
        """Loads weights that match the model; only those of knowledge bank and discriminator may be missing.

        Args:
            filename (str): Path or URL.
            map_location (str or callable): As for ``torch.load``. Defaults to 'cpu'.
            strict (bool): Not used: ``load_partial`` of the config decides whether some of the weights are enough.
            revise_keys (list): Not used: the prefix 'module.' of keys is always removed.

        Returns:
            dict: The whole checkpoint.

        Raises:
            FileNotFoundError, WeightsError: If there is no such file, or its weights do not match; see
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
