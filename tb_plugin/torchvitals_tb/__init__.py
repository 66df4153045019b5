"""torchvitals, the reader's side: event files or TensorBoard's data as a `Run`, and the TensorBoard plugin.

>>> from torchvitals_tb import load_run
>>> run = load_run("runs/exp1")
>>> run["gradient/rms"].values.shape  # [sampled steps, layers]
(412, 24)

Importing this package imports neither numpy nor TensorBoard until a name is used, and torch never.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from torchvitals_tb.errors import TorchvitalsError
from torchvitals_tb.version import __version__

if TYPE_CHECKING:
    from torchvitals_tb.diagnosis import diagnose
    from torchvitals_tb.findings import Diagnosis, Finding
    from torchvitals_tb.reader import Run, load_run
    from torchvitals_tb.testing import assert_healthy

__all__ = [
    "Diagnosis",
    "Finding",
    "Run",
    "TorchvitalsError",
    "__version__",
    "assert_healthy",
    "diagnose",
    "load_run",
]

_ROOMS = {
    "Run": "reader",
    "load_run": "reader",
    "diagnose": "diagnosis",
    "Diagnosis": "findings",
    "Finding": "findings",
    "assert_healthy": "testing",
}


def __getattr__(name: str) -> Any:
    # TensorBoard imports this package at every start, for the plugin's loader alone.
    if name in _ROOMS:
        return getattr(import_module(f"torchvitals_tb.{_ROOMS[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
