"""All labelled runs: importing this fills the register."""

from tests.pathologies import healthy_looks, healthy_nets, ill_scale, ill_signal, ill_training
from tests.pathologies.case import CASES, Case

__all__ = ["CASES", "Case", "healthy_looks", "healthy_nets", "ill_scale", "ill_signal", "ill_training"]
