"""The call, the handle, and the step boundary."""

from __future__ import annotations

import contextlib
import logging
import operator
import os
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

import torch
from torch import nn
from torch.optim.optimizer import Optimizer

from torchvitals import kernels, process
from torchvitals.account import Account
from torchvitals.boundary import Boundary
from torchvitals.capture import Capture
from torchvitals.emit import Emitter
from torchvitals.frames import Snapshot, StepNotes
from torchvitals.parameters import Parameters, held_by
from torchvitals.recorder import Recorder
from torchvitals.schedule import Schedule, finds_edges, records
from torchvitals.scratch import Pool
from torchvitals.selfcheck import SelfCheck
from torchvitals.structure import Selection, canonical, wrapped
from torchvitals.watch import Watch
from torchvitals_tb.errors import TorchvitalsError

if TYPE_CHECKING:
    from torchvitals_tb.findings import Diagnosis, Finding

logger: Final = logging.getLogger("torchvitals")


def attach_hooks(
    model: nn.Module,
    writer: Any,
    *,
    every: int | None = None,
    include: str | Sequence[str] | None = None,
    exclude: str | Sequence[str] | None = None,
    histograms: bool = True,
    units: bool = True,
    start_step: int = 0,
    overhead: float = 0.02,
    mirror: bool | Literal["auto"] = "auto",
    on_error: Literal["warn", "raise"] = "warn",
    on_finding: Callable[[Finding], None] | None = None,
) -> Vitals:
    """Records the vital signs of a model in training; the training loop stays as it is.

    On sampled steps every layer's output and its gradient, every parameter, its gradient and its update are measured
    and written as one TensorBoard event. On all other steps the model carries no hook at all. A step ends when the
    optimizers that hold the model's parameters have stepped.

    Hooks are state of the process: they stay until the handle's `Vitals.remove` or until the model is gone, also when
    the handle is dropped. Attaching to a model again replaces what was attached before.

    Args:
        model: the module that is trained, before or after wrapping or moving it.
        writer: a ``SummaryWriter`` of ``torch.utils.tensorboard`` or tensorboardX, or the path of a run directory.
        every: sample every so many steps; ``None``: the first 20 steps, then 20 per doubling, at most 1,000 apart.
        include: shell patterns on module and parameter paths; only these (with all below them) are measured.
        exclude: patterns of what is left out.
        histograms: write histograms (on the first four samples, then every fourth).
        units: write what single units do (likewise).
        start_step: the number of the first step, where a run is resumed.
        overhead: largest share of the training time that the default schedule spends on measuring.
        mirror: also write TensorBoard's own histograms and scalars; ``"auto"``: histograms up to 64 layers.
        on_error: ``"warn"``: what goes wrong in measuring is logged once and noted in the run, training goes on;
            ``"raise"``: it is raised where it happens.
        on_finding: called once with the first finding of each kind. The run is diagnosed after 16, 32, 64, … samples
            and at the end; findings are logged as well.

    Returns:
        The handle. It can be dropped.

    Raises:
        TypeError: ``model`` is not a module, ``writer`` is none, an option is of the wrong type.
        ValueError: the model has no parameters, an option is out of range, a pattern matches nothing.
    """
    _check_model(model)
    schedule = Schedule(every, overhead)
    if isinstance(start_step, bool) or not hasattr(start_step, "__index__"):
        raise TypeError(f"start_step must be a whole number, not {start_step!r}")
    start_step = operator.index(start_step)
    if start_step < 0:
        raise ValueError(f"start_step={start_step}: steps are counted from 0 up")
    if mirror not in (True, False, "auto"):
        raise ValueError(f"mirror={mirror!r}: must be True, False or 'auto'")
    if on_error not in ("warn", "raise"):
        raise ValueError(f"on_error={on_error!r}: must be 'warn' or 'raise'")
    if on_finding is not None and not callable(on_finding):
        raise TypeError(f"on_finding must be a function of a finding, not {on_finding!r}")
    selection = Selection(include, exclude)
    inside = wrapped(model)
    paths = [path for path, _ in (*inside.named_modules(), *inside.named_parameters()) if path]
    selection.check([canonical(path) for path in paths])
    if os.environ.get("TORCHVITALS") == "0":
        _say_disabled()
        return Vitals(model, None, schedule, selection, start_step, on_error)
    options = {
        "every": schedule.every,
        "include": list(selection.include),
        "exclude": list(selection.exclude),
        "histograms": bool(histograms),
        "units": bool(units),
        "start_step": start_step,
        "overhead": float(overhead),
    }
    emitter = Emitter(writer, mirror=mirror)
    try:
        before = process.monitors.get(id(model))
        if before is not None:
            before.remove()
        recorder = Recorder(emitter, options)
        vitals = Vitals(model, recorder, schedule, selection, start_step, on_error, Watch(recorder, on_finding))
        vitals._start()
    except BaseException:
        emitter.close()
        raise
    return vitals


class Vitals:
    """The handle of attached hooks. Use it as a context manager to remove them at the end of a block."""

    def __init__(
        self,
        model: nn.Module,
        recorder: Recorder | None,
        schedule: Schedule,
        selection: Selection,
        start_step: int,
        on_error: str,
        watch: Watch | None = None,
    ) -> None:
        self._model = weakref.ref(model)
        self._key = id(model)
        self._recorder = recorder
        self._schedule = schedule
        self._on_error = on_error
        self._watch = watch
        self._first = self._step = start_step
        self._not_observed: dict[str, str] = {}
        pool = Pool()
        self._parameters = Parameters(selection, pool)
        self._capture = Capture(selection, pool, self._parameters, self._fail)
        self._capture.on_backward = self._after_backward
        self._capture.on_change = self._look_up
        self._capture.on_forward = self._before_forward
        self._capture.on_exception = self._after_exception
        self._self_check = SelfCheck()
        self._paused = 0
        self._finalizer: Any = None
        self._notes = StepNotes(start_step, heavy=False)
        """Of the step being measured."""
        self._attached = False
        self._failed = False
        self._seconds = 0.0
        """In our own code of this file, without looks: these cost what they take, and nothing beside."""
        self._looking = 0.0
        self._account = Account()
        self._boundary = Boundary(self._parameters, self._look_up)

    # What users call --------------------------------------------------------------------------------------------------

    @property
    def step(self) -> int:
        """Number of the current optimizer step: steps taken since attaching, plus ``start_step``."""
        return self._step

    def remove(self) -> None:
        """Takes the hooks out, writes what is pending, and closes the writer if it was made from a path."""
        if self._recorder is not None:
            self._let_go(self._recorder, waits=not self._recorder.is_here())

    def __enter__(self) -> Vitals:
        return self

    def __exit__(self, *exception: object) -> None:
        self.remove()

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Measures nothing inside the block; optimizer steps in it still count.

        A step that had begun before the block is not recorded.
        """
        step, begun = self._step, self._capture.armed and self._capture.begun
        self._paused += 1
        self._disarm()
        try:
            yield
        finally:
            self._paused -= 1
            if self._attached and not self._paused and not (begun and step == self._step):
                self._arm_if_sampled()

    def advance(self) -> None:
        """Ends a step, in a loop that updates the parameters without a PyTorch optimizer.

        Call it after the update and before the gradients are cleared: they are read here. Updates are not measured,
        since nothing says when they begin.
        """
        if self._attached:
            self._try(self._finish_step)

    def flush(self) -> None:
        """Writes what is pending and flushes the writer."""
        if self._attached and self._recorder is not None:
            self._write(wait=True)
            if self._recorder.works():
                self._try(self._recorder.flush)

    def findings(self) -> Diagnosis:
        """What is wrong in the run so far, worst first: the same as ``torchvitals diagnose`` on its directory.

        Raises:
            TorchvitalsError: nothing is recorded yet, or the files cannot be read back.
        """
        if self._watch is None:
            raise TorchvitalsError("torchvitals is switched off by TORCHVITALS=0 in the environment")
        self._write(wait=True)
        return self._watch.diagnose()

    # Life -------------------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        model = self._model()
        assert model is not None
        # The hooks must not keep the model, nor a dropped handle, from going away.
        self._finalizer = weakref.finalize(model, _model_gone, weakref.ref(self))
        self._finalizer.atexit = False
        process.watch(self._key, self)
        self._attached = True
        try:
            self._look_up()
            self._arm_if_sampled()
        except BaseException:
            self.remove()
            raise

    def _let_go(self, recorder: Recorder, *, waits: bool) -> None:
        """Takes the hooks out. What is pending is written before this returns, or else by the recorder's thread."""
        if not self._attached:
            return
        self._attached = False
        process.unwatch(self._key)
        self._finalizer.detach()
        try:
            if self._capture.armed and self._boundary.begun:
                self._finish_step()
        finally:
            self._disarm()
            if waits:
                self._end(recorder)
            else:
                recorder.later(lambda: self._end(recorder))

    def _end(self, recorder: Recorder) -> None:
        try:
            self._write(wait=True)
            if self._watch is not None and self._watch.is_worth_it():
                self._look(self._watch)
        finally:
            self._try(recorder.close)

    def _arm_if_sampled(self) -> None:
        recorder = self._recorder
        if recorder is not None and self._is_sampled(recorder):
            self._arm(recorder)
            return
        if self._capture.armed or process.awaits_call(self):
            self._disarm()

    def _is_sampled(self, recorder: Recorder) -> bool:
        if self._paused or self._model() is None:
            return False
        return self._schedule.samples(self._step - self._first, self._measuring(), recorder.training_seconds())

    def _arm(self, recorder: Recorder) -> None:
        model = self._model()
        if model is None:
            return
        start = time.perf_counter()
        heavy = records(recorder.samples)
        kernels.follow_threads()
        self._notes = StepNotes(self._step, heavy=heavy)
        histograms = heavy and recorder.options["histograms"]
        top = wrapped(model)
        same = self._capture.arm(top, histograms=histograms, edges=heavy and finds_edges(recorder.samples))
        self._parameters.arm(top, histograms=histograms, same=same)
        self._boundary.forget()
        process.armed(self, True)
        self._seconds += time.perf_counter() - start

    def _disarm(self, iterated: Any = None) -> None:
        self._capture.disarm(iterated)
        process.armed(self, False)
        process.forget_call(self)

    def _after_exception(self, iterated: Any) -> None:
        """What was measured of the step is not whole: it is forgotten, and measured anew from the next forward on."""
        self._disarm(iterated)
        model = self._model()
        if model is not None and self._attached and not self._paused:
            process.at_next_call(self, model)

    def _resume(self, module: nn.Module, args: Any) -> None:
        if self._recorder is not None:
            self._arm(self._recorder)
            self._capture.enter_now(module, args)

    def _abandon(self) -> None:
        """Ends without writing: the writer is another process's."""
        self._attached = False
        self._disarm()
        if self._recorder is not None:
            self._recorder.drop()

    # The step boundary ------------------------------------------------------------------------------------------------

    def _look_up(self) -> None:
        """The model may have other parameters than before."""
        model = self._model()
        if model is not None:
            self._parameters.look_up(wrapped(model))

    def _before_step(self, optimizer: Optimizer, closure: bool) -> None:
        if not self._boundary.enters(optimizer):
            return
        if self._boundary.has_stepped(optimizer):  # it steps again while another of the model's has not stepped
            self._finish_step(whole=False)
        if self._capture.armed:
            start = time.perf_counter()
            if not self._parameters.know(held_by(optimizer)):
                self._look_up()
            self._notes.loss_scale = process.loss_scale(optimizer)
            # An optimizer that unscales by itself finds what it needs for it in its attributes.
            inside = process.is_scaling()
            factor = getattr(optimizer, "grad_scale", None) if inside else None
            self._notes.skipped.append(inside and getattr(optimizer, "found_inf", False))
            self._parameters.before_step(optimizer, gradients=not closure, scale=factor)
            self._seconds += time.perf_counter() - start

    def _after_step(self, optimizer: Optimizer, closure: bool) -> None:
        if not self._boundary.leaves(optimizer):
            return
        if self._capture.armed:
            start = time.perf_counter()
            self._parameters.after_step(optimizer, gradients=closure)
            self._seconds += time.perf_counter() - start
        if self._boundary.add(optimizer, new_forward=self._capture.armed and self._capture.begun):
            if torch._C._current_graph_task_id() == -1:
                self._finish_step()
            else:  # an optimizer that steps inside backward: the layers before it still await their gradients
                torch.autograd.Variable._execution_engine.queue_callback(lambda: self._try(self._finish_step))

    def _skip_step(self, optimizer: Any) -> None:
        """A ``GradScaler`` has found gradients that are not finite, and does not call the optimizer."""
        if self._boundary.holds(optimizer):
            self._before_step(optimizer, closure=False)
            self._notes.skipped.append(True)
            self._after_step(optimizer, closure=False)

    def _before_forward(self) -> None:
        """A forward begins while armed. The first step is over then, if not all that it waits for has come.

        From then on the optimizers that stepped in it decide, whether a step is sampled or not.
        """
        if self._boundary.begun and not self._boundary.known:
            self._finish_step(whole=False)

    def _after_backward(self) -> None:
        if not self._parameters.are_current():
            self._look_up()
        self._parameters.after_backward()

    def _finish_step(self, *, whole: bool = True) -> None:
        """Ends the current step and gets ready for the next.

        Args:
            whole: all optimizers that are to step have done so, as far as can be told.
        """
        start = self._clock()
        measured = self._capture.seconds
        sampled = self._capture.armed
        if sampled and self._recorder is not None:
            self._try(self._collect, self._recorder, whole)
        self._boundary.next()
        self._step += 1
        if self._attached:
            self._write()
        now = self._clock()
        self._seconds += now - start - (self._capture.seconds - measured)
        self._account.step_ended(self._seconds + self._capture.seconds, sampled=sampled, now=now)
        if self._attached:
            self._arm_if_sampled()

    def _collect(self, recorder: Recorder, whole: bool) -> None:
        self._parameters.rest()
        self._self_check.after_step(self._capture, self._parameters, self._boundary.parameters(), whole=whole)
        self._notes.not_observed = self._not_observed
        self._notes.self_check = self._self_check.names()
        snapshot = Snapshot(self._notes, self._capture, self._parameters)
        recorder.add(snapshot, self._measuring(), waits=self._attached)

    def _measuring(self) -> float:
        """Seconds it has cost so far."""
        return self._account.seconds(self._seconds + self._capture.seconds) + self._looking

    def _clock(self) -> float:
        """Seconds of a clock that stands still while the run is looked at."""
        return time.perf_counter() - self._looking

    def _write(self, *, wait: bool = False) -> None:
        """Looks after what is being written: tells what went wrong; ``wait``: for all that is pending."""
        recorder = self._recorder
        if recorder is None or self._failed:
            return
        if wait:
            recorder.wait()
        while recorder.errors:
            self._fail("the run", recorder.errors.popleft())
        if recorder.failure is not None:
            self._failed = True
            if self._on_error == "raise":
                raise recorder.failure
            logger.warning("torchvitals stops recording at step %d: %s", self._step, recorder.failure)
            self.remove()
        elif self._watch is not None and self._watch.is_due() and not wait:
            self._look(self._watch)

    def _look(self, watch: Watch) -> None:
        if self._recorder is None or not self._recorder.works():
            return
        start = time.perf_counter()
        try:
            watch.look()
        except TorchvitalsError:
            pass  # nothing to be read back: the writer is not on a disk of this machine
        except Exception as error:
            self._fail("findings", error)
        self._looking += time.perf_counter() - start

    # Failure ----------------------------------------------------------------------------------------------------------

    def _fail(self, where: str, error: BaseException) -> None:
        if self._on_error == "raise":
            raise error
        if where not in self._not_observed:
            self._not_observed[where] = f"{type(error).__name__}: {error}"
            logger.warning("torchvitals does not observe %s: %s: %s", where, type(error).__name__, error)

    def _try(self, call: Any, *args: Any, **options: Any) -> None:
        try:
            call(*args, **options)
        except Exception as error:
            self._fail("the run", error)


def _model_gone(vitals: weakref.ref[Vitals]) -> None:
    """Python collects wherever it likes, also in the thread of the user's writer: here nothing may wait for that."""
    handle = vitals()
    if handle is not None and handle._recorder is not None:
        handle._let_go(handle._recorder, waits=False)


def _check_model(model: Any) -> None:
    if isinstance(model, type):
        raise TypeError(f"model is the class {model.__name__}, not an instance: write {model.__name__}(...)")
    if not isinstance(model, nn.Module):
        raise TypeError(f"model is a {type(model).__name__}, expected a torch.nn.Module")
    if next(model.parameters(), None) is None:
        raise ValueError(f"the model ({type(model).__name__}) has no parameters, so there is no training to watch")


_disabled_said = False


def _say_disabled() -> None:
    global _disabled_said
    if not _disabled_said:
        _disabled_said = True
        logger.warning("torchvitals is switched off by TORCHVITALS=0 in the environment")


__all__ = ["Vitals", "attach_hooks"]
