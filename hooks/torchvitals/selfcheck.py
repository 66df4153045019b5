"""What was expected in a sampled step and stayed silent: said once, and kept in the manifest."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Final

from torchvitals.capture import Capture
from torchvitals.parameters import Parameters
from torchvitals_tb.words import counted, listed

logger: Final = logging.getLogger("torchvitals")

_SHOWN = 5  # names in the log line; the manifest has them all


class SelfCheck:
    """Looks at sampled steps until nothing is silent any more; later steps can only clear names, not add any."""

    def __init__(self) -> None:
        self._silent: dict[str, set[str]] | None = None
        self._said = False

    def after_step(self, capture: Capture, parameters: Parameters, stepped: Iterable[int], *, whole: bool) -> None:
        """Looks at the sampled step that has just ended.

        Args:
            capture: its layers.
            parameters: its parameters.
            stepped: identities of the parameters whose optimizers stepped; none in a loop without one.
            whole: every optimizer of the model is known to have stepped. Else the next step is waited for to say it.
        """
        if self._silent is not None and not any(self._silent.values()):
            return
        ids = set(stepped)
        silent = {
            "modules_never_called": capture.never_called(),
            "layers_without_gradient": capture.without_gradient(),
            "parameters_without_optimizer": {
                name for name in (parameters.trainable_outside(ids) if ids else ()) if parameters.selection(name)
            },
        }
        first = self._silent is None
        self._silent = {k: v if self._silent is None else v & self._silent[k] for k, v in silent.items()}
        if not self._said and (whole or not first):
            self._said = True
            self._say(len(capture.rows), parameters)

    def names(self) -> dict[str, tuple[str, ...]]:
        """For the manifest; see `torchvitals_tb.schema.Manifest.self_check`."""
        return {key: tuple(sorted(names)) for key, names in (self._silent or {}).items() if names}

    def _say(self, layers: int, parameters: Parameters) -> None:
        silent = self._silent or {}
        idle = silent["modules_never_called"]
        matters = (
            silent["layers_without_gradient"]
            or silent["parameters_without_optimizer"]
            or any(row.parameter.trainable and row.parameter.layer in idle for row in parameters.rows)
        )
        parts = [f"{key.replace('_', ' ')}: {listed(sorted(names), _SHOWN)}" for key, names in silent.items() if names]
        logger.log(
            logging.WARNING if matters else logging.INFO,
            "torchvitals measured %s and %s in its first step; %s",
            counted(layers, "layer"),
            counted(len(parameters.rows), "parameter"),
            "; ".join(parts) or "nothing expected was missing",
        )
