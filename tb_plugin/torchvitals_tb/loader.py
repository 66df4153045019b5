"""What TensorBoard imports at every start, of every user who has torchvitals installed.

An exception while this module is imported, or in `Loader.fix_flags`, would keep TensorBoard from starting: so nothing
else is imported before a plugin is asked for, and nothing gets out.
"""

from __future__ import annotations

from typing import Any

from tensorboard.plugins import base_plugin


class Loader(base_plugin.TBLoader):  # type: ignore[misc]  # TensorBoard is not annotated
    """Makes the plugin, and has TensorBoard keep every sample of it."""

    def fix_flags(self, flags: Any) -> None:
        """Sets ``--samples_per_plugin torchvitals=0``, all samples, unless the user says otherwise."""
        try:
            flags.samples_per_plugin.setdefault("torchvitals", 0)
        except Exception as error:
            _warn("TensorBoard may not show all samples of torchvitals", error)

    def load(self, context: Any) -> Any:
        """The plugin, or ``None`` when it cannot be loaded."""
        try:
            from torchvitals_tb.plugin import TorchvitalsPlugin

            return TorchvitalsPlugin(context)
        except Exception as error:
            _warn("TensorBoard starts without torchvitals", error)
            return None


def _warn(what: str, error: Exception) -> None:
    import logging

    logging.getLogger("torchvitals").warning("%s: %s: %s", what, type(error).__name__, error)
