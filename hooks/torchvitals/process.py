"""State of the process: which models are watched, the hooks of all optimizers, and how compiled code runs meanwhile."""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import weakref
from typing import TYPE_CHECKING, Any

import torch
from torch.optim.optimizer import (
    Optimizer,
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

if TYPE_CHECKING:
    from torchvitals.attach import Vitals

monitors: dict[int, Vitals] = {}
"""By the model's identity, until removed or the model is gone."""

_handles: list[Any] = []
_eager: weakref.WeakSet[Vitals] = weakref.WeakSet()
_stance: Any = None


# The optimizers' hooks ----------------------------------------------------------------------------------------------


def watch(key: int, vitals: Vitals) -> None:
    """Tells ``vitals`` of every optimizer step from now on."""
    monitors[key] = vitals
    if not _handles:
        _handles.append(register_optimizer_step_pre_hook(torch.compiler.disable(_before_any_step)))
        _handles.append(register_optimizer_step_post_hook(torch.compiler.disable(_after_any_step)))


def unwatch(key: int) -> None:
    """Tells of no more steps; the last one takes the optimizers' hooks out."""
    monitors.pop(key, None)
    # Inside a step PyTorch is going through these hooks; they then stay, and do nothing.
    if not monitors and not _handles_in_use():
        for handle in _handles:
            handle.remove()
        _handles.clear()


def _before_any_step(optimizer: Optimizer, args: Any, kwargs: Any) -> None:
    for vitals in list(monitors.values()):
        vitals._try(vitals._before_step, optimizer, _has_closure(args, kwargs))


def _after_any_step(optimizer: Optimizer, args: Any, kwargs: Any) -> None:
    for vitals in list(monitors.values()):
        vitals._try(vitals._after_step, optimizer, _has_closure(args, kwargs))


def _has_closure(args: Any, kwargs: Any) -> bool:
    # The optimizer itself is the first of the arguments.
    return any(callable(a) and not isinstance(a, Optimizer) for a in (*args, *kwargs.values()))


def step_frame() -> int:
    """Identity of the innermost frame of an optimizer's step, 0 outside of one."""
    frame: Any = sys._getframe(1)
    while frame is not None and not frame.f_code.co_filename.endswith("optimizer.py"):
        frame = frame.f_back
    return 0 if frame is None else id(frame)


def is_running(frame_id: int) -> bool:
    """Whether a frame is on the stack."""
    frame: Any = sys._getframe(1)
    while frame is not None and id(frame) != frame_id:
        frame = frame.f_back
    return frame is not None


def _handles_in_use() -> bool:
    return step_frame() != 0


def loss_scale() -> Any:
    """The factor the loss was multiplied with, where a GradScaler is calling the optimizer; read without waiting."""
    frame: Any = sys._getframe(1)
    for _ in range(16):
        if frame is None:
            break
        if frame.f_code.co_filename.endswith("grad_scaler.py"):
            scaler = frame.f_locals.get("self")
            if isinstance(scaler, torch.amp.GradScaler) and scaler._scale is not None:
                return scaler._scale.detach().clone()
        frame = frame.f_back
    return None


# Compiled code ------------------------------------------------------------------------------------------------------


def run_eagerly(vitals: Vitals, eager: bool) -> None:
    """While any model is armed, compiled functions run eagerly: no graph break, no recompilation."""
    global _stance
    (_eager.add if eager else _eager.discard)(vitals)
    if _eager and _stance is None:
        _stance = torch.compiler.set_stance("force_eager")
    elif not _eager and _stance is not None:
        stance, _stance = _stance, None
        current = getattr(torch._dynamo.eval_frame, "_stance", stance.stance)
        if current is stance.stance:  # else the user has set one since, and it stays
            stance.__exit__(None, None, None)


# The end ------------------------------------------------------------------------------------------------------------


def _in_forked_child() -> None:
    """A child has the parent's hooks but not its writer's thread: it records nothing."""
    for key, vitals in list(monitors.items()):
        vitals._abandon()
        unwatch(key)


@atexit.register
def _at_exit() -> None:
    for vitals in list(monitors.values()):
        with contextlib.suppress(Exception):
            vitals.remove()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_forked_child)
