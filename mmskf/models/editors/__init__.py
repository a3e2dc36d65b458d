from .cidnet import CIDNet
from .drbn import DRBNNet
from .enhancement_editor import EnhancementEditor
from .enlightengan import EnlightenGANEditor, EnlightenGANNet
from .hwmnet import HWMNet
from .issr import ISSREditor, ISSRNet
from .kind import KinDEditor, KinDNet
from .kindpp import KinDPlusPlusNet
from .llflow import FlowOutputs, LLFlowEditor, LLFlowNet
from .mirnet_v2 import MIRNetV2
from .nafnet import NAFNet
from .retinexformer import RetinexformerNet
from .retinexnet import RetinexNet
from .simple import CLAHE, LIME, GammaCorrection, Identity, SimpleEditor
from .skf_editor import SKFEditor
from .snr import SNRNet
from .staged_editor import StagedEditor
from .zerodce import ZeroDCENet

# Former names, for code that imports them; configs may name them too.
KinD, KinDPlusPlus, LLFlow = KinDNet, KinDPlusPlusNet, LLFlowEditor

__all__ = [
    'CLAHE', 'LIME', 'CIDNet', 'DRBNNet', 'EnhancementEditor', 'EnlightenGANEditor', 'EnlightenGANNet', 'FlowOutputs',
    'GammaCorrection', 'HWMNet', 'ISSREditor', 'ISSRNet', 'Identity', 'KinD', 'KinDEditor', 'KinDNet', 'KinDPlusPlus',
    'KinDPlusPlusNet', 'LLFlow', 'LLFlowEditor', 'LLFlowNet', 'MIRNetV2', 'NAFNet', 'RetinexNet', 'RetinexformerNet', 'SKFEditor',
    'SNRNet', 'SimpleEditor', 'StagedEditor', 'ZeroDCENet'
]
