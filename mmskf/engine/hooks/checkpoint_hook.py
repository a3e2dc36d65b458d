from mmengine import fileio
from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook as BaseCheckpointHook
from mmengine.runner import Runner

from mmskf.evaluation import GREATER_IS_BETTER, LESS_IS_BETTER, is_nan
from mmskf.registry import HOOKS
from mmskf.utils.files import remove_parts


@HOOKS.register_module()
class CheckpointHook(BaseCheckpointHook):
    """mmengine's, but old checkpoints are deleted only once the new one and ``last_checkpoint`` are written.

    So there is an intact checkpoint at any time, even with ``max_keep_ckpts=1`` and on a full disk. ``save_best`` knows for
    every metric of mmskf and mmagic whether higher or lower is better.

    Args:
        **kwargs: See ``mmengine.hooks.CheckpointHook``.
    """
    _default_greater_keys = [*BaseCheckpointHook._default_greater_keys, *GREATER_IS_BETTER]
    _default_less_keys = [*BaseCheckpointHook._default_less_keys, *LESS_IS_BETTER]

    def before_train(self, runner: Runner) -> None:
        """As mmengine's; also removes files that a killed training left half written."""
        super().before_train(runner)
        if is_main_process() and isinstance(self.file_backend, fileio.LocalBackend):
            for folder in {self.out_dir, runner.work_dir}:
                remove_parts(folder)

    def save(self, runner: Runner, step: int) -> None:
        """Saves the state after iteration (or epoch) ``step``, unless it was the last one saved."""
        if self.last_ckpt is None or not self.last_ckpt.endswith(self.filename_tmpl.format(step)):
            self._save_checkpoint_with_step(runner, step, meta=dict(epoch=runner.epoch, iter=step))

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        outdated = []
        if self.max_keep_ckpts > 0 and step not in self.keep_ckpt_ids:
            if len(self.keep_ckpt_ids) == self.max_keep_ckpts:
                outdated.append(self._path(self.filename_tmpl.format(self.keep_ckpt_ids.popleft())))
            self.keep_ckpt_ids.append(step)
            runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))
        name = self.filename_tmpl.format(step)
        self.last_ckpt = self._path(name)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        runner.save_checkpoint(
            self.out_dir,
            name,
            self.file_client_args,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=self.by_epoch,
            backend_args=self.backend_args,
            **self.args)
        if is_main_process():
            fileio.put_text(self.last_ckpt, fileio.join_path(runner.work_dir, 'last_checkpoint'))
            self._remove(outdated)

    def _save_best_checkpoint(self, runner: Runner, metrics: dict[str, float]) -> None:
        if not self.save_best:
            return
        measured = {name: value for name, value in metrics.items() if not is_nan(value)}
        if self.key_indicators == ['auto']:
            if not measured:
                runner.logger.warning('save_best="auto": nothing could be measured, so no checkpoint is the best')
                return
            metrics = measured
        unknown = [name for name in self.key_indicators if name != 'auto' and name not in metrics]
        if unknown:
            raise KeyError(f'save_best: the validation has no score {" and no ".join(map(repr, unknown))}, only '
                           f'{", ".join(map(repr, metrics))}: name one of these in default_hooks.checkpoint.save_best')
        before = self._best_paths()
        # mmengine's method deletes the files whose paths it finds here before it writes the new ones.
        self._set_best_paths(dict.fromkeys(before))
        super()._save_best_checkpoint(runner, metrics)
        after = self._best_paths()
        replaced = [path for key, path in before.items() if path and after.get(key) not in (None, path)]
        self._set_best_paths({key: after.get(key) or path for key, path in before.items()})
        if is_main_process():
            self._remove(replaced)

    def _best_paths(self) -> dict[str, str | None]:
        return {'': self.best_ckpt_path} if len(self.key_indicators) == 1 else dict(self.best_ckpt_path_dict)

    def _set_best_paths(self, paths: dict[str, str | None]) -> None:
        if len(self.key_indicators) == 1:
            self.best_ckpt_path = paths['']
        else:
            self.best_ckpt_path_dict.update(paths)

    def _path(self, name: str) -> str:
        return self.file_backend.join_path(self.out_dir, name)

    def _remove(self, paths: list[str]) -> None:
        for path in paths:
            if self.file_backend.isdir(path):  # as DeepSpeed saves them
                self.file_backend.rmtree(path)
            elif self.file_backend.isfile(path):
                self.file_backend.remove(path)
