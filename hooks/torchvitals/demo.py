"""``torchvitals demo``: three small networks on real handwritten digits, two of them ill.

Each is trained on the 1,797 digits of scikit-learn's ``load_digits`` (8 x 8 pixels, ten classes), with one
``attach_hooks`` line. ``vanishing``: twelve sigmoid layers, whose gradient is gone before it reaches the first ones.
``killed``: a ReLU network whose learning rate of 2 kills units within the first steps, for good. ``healthy``: the same
network at a sensible rate.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter

from torchvitals.attach import attach_hooks

BATCH: Final = 64
_MARKER: Final = ".torchvitals-demo"


def _multilayer(activation: Callable[[], nn.Module], depth: int, width: int = 64) -> nn.Module:
    layers: list[nn.Module] = []
    for i in range(depth):
        layers += [nn.Linear(64 if i == 0 else width, width), activation()]
    return nn.Sequential(*layers, nn.Linear(width, 10))


@dataclass(frozen=True)
class Network:
    """One network of the demo and how it is trained."""

    name: str
    story: str
    build: Callable[[], nn.Module]
    optimizer: Callable[[nn.Module], torch.optim.Optimizer]


NETWORKS: Final = (
    Network(
        "vanishing",
        "12 sigmoid layers: the gradient vanishes on its way down",
        lambda: _multilayer(nn.Sigmoid, 12),
        lambda model: torch.optim.Adam(model.parameters(), lr=1e-3),
    ),
    Network(
        "killed",
        "4 ReLU layers at a learning rate of 2: units die for good",
        lambda: _multilayer(nn.ReLU, 4),
        lambda model: torch.optim.SGD(model.parameters(), lr=2.0),
    ),
    Network(
        "healthy",
        "the same network at a sensible learning rate",
        lambda: _multilayer(nn.ReLU, 4),
        lambda model: torch.optim.Adam(model.parameters(), lr=1e-3),
    ),
)


def digits() -> tuple[Tensor, Tensor]:
    """Pixels float32 [1797, 64] from 0 to 1, and labels int64 [1797].

    Raises:
        ModuleNotFoundError: scikit-learn is not installed.
    """
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    return torch.tensor(pixels, dtype=torch.float32) / 16, torch.tensor(labels)


def train(
    network: Network,
    run: Path,
    *,
    steps: int,
    seed: int,
    on_step: Callable[[], object] = lambda: None,
) -> tuple[nn.Module, float]:
    """Trains one network, writing to the run directory ``run``; gives the model and its accuracy on all digits."""
    torch.manual_seed(seed)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # matrices this small are slower on two
    try:
        return _train(network, run, steps, on_step)
    finally:
        torch.set_num_threads(threads)


def _train(network: Network, run: Path, steps: int, on_step: Callable[[], object]) -> tuple[nn.Module, float]:
    pixels, labels = digits()
    model = network.build()
    optimizer = network.optimizer(model)
    with SummaryWriter(str(run)) as writer, attach_hooks(model, writer, every=1):
        order = torch.randperm(len(labels))
        for step in range(steps):
            if len(order) < BATCH:
                order = torch.cat([order, torch.randperm(len(labels))])
            batch, order = order[:BATCH], order[BATCH:]
            loss = nn.functional.cross_entropy(model(pixels[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            writer.add_scalar("loss", loss.item(), step)
            writer.add_scalar("learning_rate", optimizer.param_groups[0]["lr"], step)
            on_step()
    with torch.no_grad():
        accuracy = (model(pixels).argmax(1) == labels).float().mean().item()
    return model, accuracy


def command(argv: list[str]) -> int:
    """The ``demo`` of the command line. Returns the exit status: 0, or 2 for bad input."""
    parser = argparse.ArgumentParser(prog="torchvitals demo", description=(__doc__ or "").split("\n\n", 1)[1])
    parser.add_argument(
        "--logdir", type=Path, default=Path("runs/demo"), help="where the runs go (default: %(default)s)"
    )
    parser.add_argument("--steps", type=int, default=400, help="optimizer steps per network (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of weights and batches (default: %(default)s)")
    options = parser.parse_args(argv)
    if options.steps < 1:
        parser.error(f"--steps {options.steps}: must be at least 1")
    try:
        digits()
        _clear(options.logdir)
    except ModuleNotFoundError:
        print("The demo needs scikit-learn for its digits: pip install 'torchvitals[demo]'", file=sys.stderr)  # noqa: T201
        return 2
    except OSError as error:
        print(f"--logdir {options.logdir}: {error}", file=sys.stderr)  # noqa: T201
        return 2
    console = Console()
    results = []
    columns = (TextColumn("{task.description:<10}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        for network in NETWORKS:
            bar = progress.add_task(network.name, total=options.steps)
            step = (lambda task: lambda: progress.advance(task))(bar)
            _, accuracy = train(
                network, options.logdir / network.name, steps=options.steps, seed=options.seed, on_step=step
            )
            results.append((network, accuracy))
    console.print()
    for network, accuracy in results:
        console.print(f"  {options.logdir / network.name}", style="bold", highlight=False)
        console.print(f"    {network.story}; accuracy {accuracy:.0%}", highlight=False)
    console.print(f"\nNow look at it:  tensorboard --logdir {options.logdir}  (tab Vitals)", highlight=False)
    return 0


def _clear(logdir: Path) -> None:
    """Removes the runs of an earlier demo, and nothing else: two trainings in one run directory would mix."""
    logdir.mkdir(parents=True, exist_ok=True)
    marker = logdir / _MARKER
    if marker.exists():
        for network in NETWORKS:
            shutil.rmtree(logdir / network.name, ignore_errors=True)
    elif any((logdir / network.name).exists() for network in NETWORKS):
        raise FileExistsError("holds runs that no demo wrote; choose another directory")
    marker.touch()
