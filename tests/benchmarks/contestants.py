"""What is compared: ours, and what people use instead, each attached as its own documentation says.

Every one samples each ``every``-th step, as far as it can. None is made to record less or more than it does by itself;
what a row records is said beside it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter

from tests.benchmarks.models import Observer, Training

Attach = Callable[[Training, Path, int], AbstractContextManager[Observer]]


@dataclass(frozen=True)
class Contestant:
    """A way to watch a training."""

    name: str
    records: str
    attach: Attach
    package: str | None = None
    """The distribution it needs, beside what the project itself needs."""
    module: str | None = None
    environment: dict[str, str] = field(default_factory=dict)
    """Of the process that it runs in."""


class _Flush(Observer):
    """An observer whose ``flush`` is given."""

    def __init__(self, flush: Callable[[], Any]) -> None:
        self.flush = flush  # type: ignore[method-assign]


def _ours(**options: Any) -> Attach:
    @contextmanager
    def attach(training: Training, folder: Path, every: int) -> Iterator[Observer]:
        from torchvitals import attach_hooks

        with attach_hooks(
            training.model, SummaryWriter(str(folder)), every=every, on_error="raise", **options
        ) as vitals:
            yield _Flush(vitals.flush)

    return attach


@contextmanager
def _wandb(training: Training, folder: Path, every: int) -> Iterator[Observer]:
    import wandb

    run = wandb.init(project="benchmark", mode="offline", dir=str(folder), settings=wandb.Settings(silent=True))
    run.watch(training.model, log="all", log_freq=every)

    class Log(Observer):
        def after_step(self, step: int, loss: Tensor) -> None:
            run.log({"loss": loss.detach()})

    yield Log()
    run.unwatch(training.model)
    run.finish()


class _Loop(Observer):
    """What many write by hand: a forward hook a layer that keeps the output, numbers taken on every n-th step."""

    def __init__(self, training: Training, folder: Path, every: int) -> None:
        self.training, self.every = training, every
        self.writer = SummaryWriter(str(folder))
        self.sampling = False
        self.outputs: dict[str, Tensor] = {}
        for name, module in training.model.named_modules():
            if not any(module.children()):
                module.register_forward_hook(self._keep(name))

    def _keep(self, name: str) -> Callable[..., None]:
        def keep(module: nn.Module, args: Any, output: Any) -> None:
            if self.sampling:
                self.outputs[name] = output.detach()

        return keep

    def before_forward(self, step: int) -> None:
        self.sampling = step % self.every == 0

    def after_backward(self, step: int) -> None:
        if not self.sampling:
            return
        for name, output in self.outputs.items():
            self.add(f"activation/{name}", output, step)
        for name, parameter in self.training.model.named_parameters():
            self.add(f"weight/{name}", parameter.detach(), step)
            if parameter.grad is not None:
                self.add(f"gradient/{name}", parameter.grad, step)
        self.outputs.clear()

    def add(self, tag: str, values: Tensor, step: int) -> None:
        raise NotImplementedError

    def flush(self) -> None:
        self.writer.flush()


class _Histograms(_Loop):
    def add(self, tag: str, values: Tensor, step: int) -> None:
        self.writer.add_histogram(tag, values, step)


class _Scalars(_Loop):
    def add(self, tag: str, values: Tensor, step: int) -> None:
        self.writer.add_scalar(f"{tag}/mean", values.mean().item(), step)
        self.writer.add_scalar(f"{tag}/std", values.std().item(), step)


def _loop(kind: type[_Loop]) -> Attach:
    @contextmanager
    def attach(training: Training, folder: Path, every: int) -> Iterator[Observer]:
        loop = kind(training, folder, every)
        yield loop
        loop.writer.close()

    return attach


@contextmanager
def _lightning(training: Training, folder: Path, every: int) -> Iterator[Observer]:
    from pytorch_lightning.utilities import grad_norm

    writer = SummaryWriter(str(folder))

    class Norms(Observer):
        def after_backward(self, step: int) -> None:
            if step % every == 0:
                for name, norm in grad_norm(training.model, norm_type=2).items():
                    writer.add_scalar(name, norm.item(), step)

        def flush(self) -> None:
            writer.flush()

    yield Norms()
    writer.close()


@contextmanager
def _fastai(training: Training, folder: Path, every: int) -> Iterator[Observer]:
    """The callback itself; its Learner, which would be slower than this loop, is stood in for."""
    from fastai.callback.hook import ActivationStats

    stats = ActivationStats(with_hist=True, every=every, include_paramless=True)
    stats.learn = SimpleNamespace(model=training.model, training=True, train_iter=0)
    stats.before_fit()

    class Batches(Observer):
        def before_forward(self, step: int) -> None:
            stats.learn.train_iter = step
            stats.before_batch()

        def after_step(self, step: int, loss: Tensor) -> None:
            stats.after_batch()

    yield Batches()
    stats.after_fit()


@contextmanager
def _torchexplorer(training: Training, folder: Path, every: int) -> Iterator[Observer]:
    import torchexplorer

    torchexplorer.watch(training.model, log_freq=every, backend="none", disable_inplace=True)
    yield Observer()


@contextmanager
def _smdebug(training: Training, folder: Path, every: int) -> Iterator[Observer]:
    import smdebug.pytorch as smd

    config = smd.SaveConfig(save_interval=every)
    # Of every output, weight and gradient the mean and so on, and a histogram, not the tensor itself.
    reduced = smd.ReductionConfig(reductions=["min", "max", "mean", "std"], abs_reductions=["mean"])
    hook = smd.Hook(out_dir=str(folder / "smdebug"), save_all=True, save_config=config, reduction_config=reduced)
    hook.register_module(training.model)
    yield Observer()
    hook.close()


@contextmanager
def _torchmortem(training: Training, folder: Path, every: int) -> Iterator[Observer]:
    from torchmortem import Autopsy, SamplingConfig

    sampling = SamplingConfig(default_interval=every, expensive_interval=50 * every)
    with Autopsy(training.model, optimizer=training.optimizer, sampling=sampling) as autopsy:

        class Step(Observer):
            def after_step(self, step: int, loss: Tensor) -> None:
                autopsy.step(loss=loss.item())

        yield Step()


# smdebug's generated messages are older than any protobuf that TensorBoard can use.
_OLD_MESSAGES = {"PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python"}

OURS = Contestant("torchvitals", "25 statistics, histograms and units of outputs, gradients, weights, updates", _ours())
CONTESTANTS: dict[str, Contestant] = {
    "torchvitals": OURS,
    "add_histogram": Contestant("add_histogram loop", "histograms: outputs, weights, gradients", _loop(_Histograms)),
    "item": Contestant(".item() loop", "mean and std: outputs, weights, gradients", _loop(_Scalars)),
    "wandb": Contestant('wandb.watch(log="all")', "histograms: weights, gradients", _wandb, "wandb", "wandb"),
    "torchexplorer": Contestant(
        "TorchExplorer", "histograms of samples, in memory", _torchexplorer, "torchexplorer", "torchexplorer"
    ),
    "smdebug": Contestant(
        "smdebug", "5 reductions: outputs, weights, gradients", _smdebug, "smdebug", "smdebug.pytorch", _OLD_MESSAGES
    ),
    "fastai": Contestant(
        "fastai ActivationStats", "mean, std, histogram: outputs, in memory", _fastai, "fastai", "fastai.callback.hook"
    ),
    "lightning": Contestant(
        "Lightning grad_norm", "norms: gradients", _lightning, "pytorch-lightning", "pytorch_lightning.utilities"
    ),
    "torchmortem": Contestant(
        "torchmortem",
        "its collectors: outputs, weights, gradients, in memory",
        _torchmortem,
        "torchmortem",
        "torchmortem",
    ),
}


def offline() -> None:
    """No contestant may ask a server for anything."""
    os.environ |= {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "WANDB_ERROR_REPORTING": "false"}
    torch.manual_seed(0)
