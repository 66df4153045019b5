"""State of the process: which models are watched, hooks of all optimizers and loss scalers, what arming changes."""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import os
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler, OptState
from torch.nn.modules.module import register_module_forward_pre_hook
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
_armed: weakref.WeakSet[Vitals] = weakref.WeakSet()
_stance: Any = None
_thresholds: tuple[int, int, int] | None = None


# The optimizers' hooks ----------------------------------------------------------------------------------------------


def watch(key: int, vitals: Vitals) -> None:
    """Tells ``vitals`` of every optimizer step from now on."""
    monitors[key] = vitals
    if not _handles:
        _handles.append(register_optimizer_step_pre_hook(torch.compiler.disable(_before_any_step)))
        _handles.append(register_optimizer_step_post_hook(torch.compiler.disable(_after_any_step)))
        _handles.append(_WatchedScalers())


def unwatch(key: int) -> None:
    """Tells of no more steps; the last one takes the optimizers' hooks out."""
    monitors.pop(key, None)
    # Inside a step, of any thread, PyTorch is going through these hooks; they then stay, and do nothing.
    if not monitors and not _handles_in_use():
        for handle in _handles:
            handle.remove()
        _handles.clear()


def is_capturing() -> bool:
    """Whether a CUDA graph is being captured: nothing is computed then, and what runs is in the graph for ever."""
    return torch.cuda.is_initialized() and torch.cuda.is_current_stream_capturing()


def _before_any_step(optimizer: Optimizer, args: Any, kwargs: Any) -> None:
    if is_capturing():
        return
    steps = _scaled_steps()
    if steps:
        steps[-1].taken = True
    for vitals in list(monitors.values()):
        vitals._try(vitals._before_step, optimizer, _has_closure(args, kwargs))


def _after_any_step(optimizer: Optimizer, args: Any, kwargs: Any) -> None:
    if is_capturing():
        return
    for vitals in list(monitors.values()):
        vitals._try(vitals._after_step, optimizer, _has_closure(args, kwargs))


def _has_closure(args: Any, kwargs: Any) -> bool:
    # The optimizer itself is the first of the arguments.
    return (len(args) > 1 or bool(kwargs)) and any(
        callable(a) and not isinstance(a, Optimizer) for a in (*args, *kwargs.values())
    )


def step_frame(frame: Any = None) -> int:
    """Identity of the innermost frame of an optimizer's step, 0 outside of one.

    Args:
        frame: at or below which it is looked for; the caller's, if none is given.
    """
    frame = frame or sys._getframe(1)
    while frame is not None and not frame.f_code.co_filename.endswith("optimizer.py"):
        frame = frame.f_back
    return 0 if frame is None else id(frame)


def is_running(frame_id: int, frame: Any = None) -> bool:
    """Whether a frame is on the stack, at or below another one (the caller's, if none is given)."""
    frame = frame or sys._getframe(1)
    while frame is not None and id(frame) != frame_id:
        frame = frame.f_back
    return frame is not None


def _handles_in_use() -> bool:
    return any(step_frame(frame) for frame in sys._current_frames().values())


# Loss scaling -------------------------------------------------------------------------------------------------------


class _ScaledStep:
    """A call of ``GradScaler.step``."""

    def __init__(self, scaler: GradScaler) -> None:
        self.scaler = scaler
        self.taken = False
        """An optimizer was called. One that scales by itself is called also where it then skips the step."""


_local = threading.local()
_unscaling: weakref.WeakSet[GradScaler] = weakref.WeakSet()
"""Scalers that were asked to unscale gradients."""


def _scaled_steps() -> list[_ScaledStep]:
    """The calls of this thread that have not ended."""
    steps: list[_ScaledStep] | None = getattr(_local, "steps", None)
    if steps is None:
        steps = _local.steps = []
    return steps


def is_scaling() -> bool:
    """Whether a ``GradScaler`` is calling the optimizer."""
    return bool(_scaled_steps())


def loss_scale(optimizer: Any) -> Tensor | None:
    """The factor the loss was multiplied with, where a ``GradScaler`` calls the optimizer or has unscaled for it.

    Returns:
        A copy, [] on the gradients' device: the scaler changes its own afterwards. It is read without waiting.
    """
    steps = _scaled_steps()
    scaler = steps[-1].scaler if steps else None
    for other in _unscaling if scaler is None else ():
        state = other._per_optimizer_states.get(id(optimizer))
        if state is not None and state["stage"] is OptState.UNSCALED:
            scaler = other
    if scaler is None or not scaler.is_enabled() or scaler._scale is None:
        return None
    return scaler._scale.detach().clone()


class _WatchedScalers:
    """Tells of the steps that a ``GradScaler`` skips: it does not call the optimizer then, so no hook of that tells.

    PyTorch offers no hook for it, so the method is wrapped while a model is watched, and put back afterwards.
    """

    def __init__(self) -> None:
        self._original = original = GradScaler.step

        @functools.wraps(original)
        def step(scaler: GradScaler, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
            if not monitors:
                return original(scaler, optimizer, *args, **kwargs)
            current = _ScaledStep(scaler)
            _scaled_steps().append(current)
            try:
                result = original(scaler, optimizer, *args, **kwargs)
                if not current.taken:
                    for vitals in list(monitors.values()):
                        vitals._try(vitals._skip_step, optimizer)
                return result
            finally:
                _scaled_steps().remove(current)

        self._unscale = unscale = GradScaler.unscale_

        @functools.wraps(unscale)
        def unscale_(scaler: GradScaler, optimizer: Any) -> None:
            _unscaling.add(scaler)
            unscale(scaler, optimizer)

        self._watching_unscale = torch.compiler.disable(unscale_, recursive=False)
        GradScaler.unscale_ = self._watching_unscale  # type: ignore[method-assign]
        # The optimizer inside may be compiled; this is not to be.
        self._watching = torch.compiler.disable(step, recursive=False)
        GradScaler.step = self._watching  # type: ignore[method-assign]

    def remove(self) -> None:
        if GradScaler.unscale_ is self._watching_unscale:
            GradScaler.unscale_ = self._unscale  # type: ignore[method-assign]
        if GradScaler.step is self._watching:  # else somebody wrapped it since, and ours stays inside and does nothing
            GradScaler.step = self._original  # type: ignore[method-assign]


# The next forward ---------------------------------------------------------------------------------------------------

_awaited: dict[int, tuple[Vitals, frozenset[int]]] = {}
_call_handle: Any = None


def at_next_call(vitals: Vitals, model: nn.Module) -> None:
    """Has ``vitals`` resume when a module of the model is called again; the model itself carries no hook for it."""
    global _call_handle
    _awaited[vitals._key] = vitals, frozenset(map(id, model.modules()))
    if _call_handle is None:
        _call_handle = register_module_forward_pre_hook(torch.compiler.disable(_before_any_call))


def awaits_call(vitals: Vitals) -> bool:
    """Whether one is waited for."""
    return vitals._key in _awaited


def forget_call(vitals: Vitals) -> None:
    """The call is not waited for any more."""
    global _call_handle
    _awaited.pop(vitals._key, None)
    if _call_handle is not None and not _awaited:
        handle, _call_handle = _call_handle, None
        handle.remove()


def _before_any_call(module: nn.Module, args: Any) -> None:
    for vitals, modules in list(_awaited.values()):
        if id(module) in modules:
            forget_call(vitals)
            vitals._try(vitals._resume, module, args)


# While any model is armed -------------------------------------------------------------------------------------------

_OBJECTS = 50_000  # new ones before Python collects; a measured layer has some tens


def armed(vitals: Vitals, is_armed: bool) -> None:
    """While any model is armed, compiled functions run eagerly, and Python collects garbage less often."""
    (_armed.add if is_armed else _armed.discard)(vitals)
    _run_eagerly(bool(_armed))
    _collect_seldom(bool(_armed))


def _run_eagerly(eager: bool) -> None:
    """No graph break, no recompilation."""
    global _stance
    if eager and _stance is None:
        _stance = torch.compiler.set_stance("force_eager")
    elif not eager and _stance is not None:
        stance, _stance = _stance, None
        current = getattr(torch._dynamo.eval_frame, "_stance", stance.stance)
        if current is stance.stance:  # else the user has set one since, and it stays
            stance.__exit__(None, None, None)


def _collect_seldom(seldom: bool) -> None:
    """What is measured lives until the step ends, so looking through it for garbage finds none.

    With 1,000 layers that was a quarter of what a sampled step costs. Who has switched the collector off, or its
    thresholds higher, keeps them.
    """
    global _thresholds
    if seldom and _thresholds is None and 0 < gc.get_threshold()[0] < _OBJECTS:
        _thresholds = gc.get_threshold()
        gc.set_threshold(_OBJECTS, *_thresholds[1:])
    elif not seldom and _thresholds is not None:
        before, _thresholds = _thresholds, None
        if gc.get_threshold()[0] == _OBJECTS:
            gc.set_threshold(*before)


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
