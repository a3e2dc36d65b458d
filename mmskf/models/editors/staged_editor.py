from typing import Any

from torch import Tensor, nn

from mmskf.registry import MODELS
from mmskf.structures import Prior

from .enhancement_editor import Outputs
from .skf_editor import SKFEditor


@MODELS.register_module()
class StageLosses(nn.ModuleDict):
    """The losses of the stages, by name.

    Args:
        **losses (dict): Name of a stage -> config of its loss.
    """

    def __init__(self, **losses: dict):
        super().__init__({name: MODELS.build(loss) for name, loss in losses.items()})


@MODELS.register_module()
class StagedEditor(SKFEditor):
    """An editor for a method whose subnets are trained one after the other (RetinexNet, KinD, KinD++).

    The generator lists its ``stages`` in training order and, given one of them, returns the inputs of that stage's loss. SKF acts
    only in the last stage (section 4.1), which produces the enhanced image. :class:`~mmskf.engine.StagedTrainLoop` sets
    ``stage``; until then it is the last one.

    If ``generator.exposure`` is 'gt', testing takes the exposure from the ground truth, and the scores say so.

    Args:
        generator (dict): The enhancement network.
        recon_loss (dict[str, dict]): Name of a stage -> config of its loss, for each stage of the generator.
        **kwargs: See :class:`SKFEditor`.

    Raises:
        ValueError: If the stages of ``recon_loss`` are not those of the generator.
    """
    gt_note = 'exposure from the ground truth'
    gt_advice = "set model.generator.exposure='auto' in the config"

    def __init__(self, generator: dict, recon_loss: dict, **kwargs: Any):
        super().__init__(generator, dict(recon_loss, type='StageLosses'), **kwargs)
        # Read here, since data-parallel wrappers hide the generator's attributes.
        self.stages = tuple(self.generator.stages)
        if set(recon_loss) != set(self.stages):
            raise ValueError(f'model.recon_loss has losses for {sorted(recon_loss)}, but {generator["type"]} is trained in the '
                             f'stages {list(self.stages)}: give one loss for each of them')
        self.stage = self.stages[-1]

    @property
    def guided(self) -> bool:
        """Whether SKF acts in this iteration: in the last stage."""
        return self.stage == self.stages[-1]

    @property
    def recon_loss(self) -> nn.Module:
        """The loss of the current stage."""
        return self.pixel_loss[self.stage]

    def generate(self, inputs: Tensor, prior: Prior, gt: Tensor | None = None, **maps: Tensor) -> Outputs:
        """Calls the generator; in training, for the current stage."""
        return self.generator(inputs, prior, gt, stage=self.stage if self.training else None, **maps)
