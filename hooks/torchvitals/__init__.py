"""torchvitals: the vital signs of a PyTorch network in training, in TensorBoard."""

from torchvitals.attach import Vitals, attach_hooks
from torchvitals_tb.version import __version__

__all__ = ["Vitals", "__version__", "attach_hooks"]
