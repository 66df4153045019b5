"""Reductions on the CPU, compiled: everything that is measured of a tensor in one pass over it.

PyTorch and NumPy take a pass for every number (sum, squares, extremes, zeros, units, ...). Most of what those cost is
waiting for the memory, and of a small tensor it is asking for them. One pass for all takes a fifth of that time, of a
small tensor a tenth.

`kernels.c` is compiled into the package, for Linux and macOS, by setup.py. Where nothing is there for the processor, a
CPU is measured in the way of all other devices (`torchvitals.statistics`): the same numbers in more time.

All tensors are contiguous float32 tensors on the host. PyTorch's own threads are used where it has several and the
tensor is large: two take 0.55 of the time of one for 21 MB of parameters. Results are the same to the last bit with any
number. Python's other threads are held up meanwhile: to let them go on, and to wait for them again, would take longer.
"""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import platform
import sys
from collections.abc import Sequence
from functools import cache, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from torchvitals.sums import BINS, COLUMNS

logger: Final = logging.getLogger("torchvitals")

FOLDER: Final = Path(__file__).with_name("compiled")
_PART: Final = 1 << 18
"""Values in a part of one of many tensors."""
_POINTER, _INT, _FLOAT = ctypes.c_void_p, ctypes.c_int64, ctypes.c_float
_ARGUMENTS: Final = {
    "add_values": (_POINTER, _INT, _FLOAT, _INT, _POINTER, _POINTER, _POINTER),
    "add_activation": (
        _POINTER, *(_INT,) * 3, *(_POINTER,) * 2, *(_INT,) * 4, *(_POINTER,) * 2, _FLOAT, _FLOAT, _POINTER,
    ),
    "measure": (*(_POINTER,) * 3, _INT, *(_POINTER,) * 4, _INT, *(_POINTER,) * 3, _INT, _POINTER),
    "are_same": (*(_POINTER,) * 3, _INT, _POINTER, _POINTER, _INT, _POINTER),
    "changes": (*(_POINTER,) * 3, _INT, _INT, *(_POINTER,) * 3),
    "use_team": (_POINTER,),
}  # fmt: skip
_COUNTING: Final = frozenset(("add_values", "add_activation", "are_same"))
_ENDINGS: Final = {"Linux": "so", "Darwin": "dylib"}
_LEVELS: Final = {"AVX512": "v4", "AVX2": "v3"}
"""Of x86-64, by what PyTorch says the processor can do."""


def library_name(system: str, machine: str, capability: str) -> str | None:
    """File name of the compiled kernels; ``None`` where there are none for the processor.

    Args:
        system: as `platform.system` names it.
        machine: as `platform.machine` names it.
        capability: as `torch.backends.cpu.get_cpu_capability` names it.
    """
    machine = "aarch64" if machine == "arm64" else machine
    if system not in _ENDINGS or machine not in ("aarch64", "x86_64"):
        return None
    if machine == "x86_64":
        if capability not in _LEVELS:
            return None
        machine += f"_{_LEVELS[capability]}"
    return f"{system.lower()}-{machine}.{_ENDINGS[system]}"


def load(folder: Path = FOLDER) -> dict[str, Any]:
    """The functions of ``kernels.c``; none where they are not there, do not load or do not compute what they should."""
    name = library_name(platform.system(), platform.machine(), torch.backends.cpu.get_cpu_capability())
    has_lock = getattr(sys, "_is_gil_enabled", lambda: True)()  # a buffer is one for all of Python's threads
    if name is None or not has_lock or not (folder / name).exists():
        return {}
    try:
        # Where the package is worked on, the source may be newer than what was compiled: other arguments, say.
        source = folder.with_name("kernels.c")
        if (
            source.exists()
            and hashlib.sha256(source.read_bytes()).hexdigest() not in (folder / "build.txt").read_text()
        ):
            raise OSError("made from another kernels.c: install again, or run 'python setup.py build_kernels'")
        library = ctypes.PyDLL(str(folder / name))
        functions = {function: getattr(library, f"tv_{function}") for function in _ARGUMENTS}
        for function, types in _ARGUMENTS.items():
            functions[function].argtypes = types
            functions[function].restype = _INT if function in _COUNTING else None
        if not _computes(functions):
            raise OSError("it does not compute what it should")
    except (OSError, AttributeError) as error:
        logger.warning("torchvitals measures the CPU the slow way: %s: %s", name, error)
        return {}
    return functions


def _computes(functions: dict[str, Any]) -> bool:
    x = np.array([[0, -1, 2, 0.5, 0]] * 40, dtype=np.float32)
    row, units = np.zeros(COLUMNS), np.zeros((2, 5))
    places = units.ctypes.data, units[1:].ctypes.data
    functions["add_activation"](x.ctypes.data, 40, 5, 1, *places, 100, 20, 1, 0, None, None, -1, 2, row.ctypes.data)
    wanted = [[0, 40, 40, 40, 0], [0, 40, 80, 20, 0]]
    return units.tolist() == wanted and row.tolist() == [60, 210, 80, 0, 80, 0, 2, 0, 20]


_functions: Final = load()
available: Final = bool(_functions)

Bins = tuple[NDArray[Any], NDArray[Any]]
"""Those in use, ascending, and how many values are in each."""


class _Room:
    """Where a histogram is made: as many as there are threads that make one at the same time, used again."""

    free: ClassVar[list[_Room]] = []

    def __init__(self) -> None:
        self._bins, self._counts = np.empty(BINS, dtype=np.uint16), np.empty(BINS, dtype=np.int32)
        self.places = self._bins.ctypes.data, self._counts.ctypes.data

    @classmethod
    def taken(cls) -> _Room:
        """Nobody else's until `bins` is called."""
        try:
            return cls.free.pop()
        except IndexError:
            return cls()

    def bins(self, used: int) -> Bins:
        """A copy of the histogram."""
        found = self._bins[:used].copy(), self._counts[:used].copy()
        self.free.append(self)
        return found


_NOWHERE: Final = None, None


def add_values(x: Tensor, tiny: float, row: Any, bins: int = 0) -> Bins | None:
    """Adds sum, squares, largest magnitude, zeros and values that are not finite.

    Args:
        x: [...].
        tiny: nonzero values of a smaller magnitude are counted too.
        row: [K].
        bins: also count a histogram, of so many values at most, evenly spread.

    Returns:
        The histogram.
    """
    room = _Room.taken() if bins else None
    places = _NOWHERE if room is None else room.places
    used = _functions["add_values"](x.data_ptr(), x.numel(), tiny, bins, *places, row)
    return None if room is None else room.bins(used)


def add_activation(
    x: Tensor,
    shape: tuple[int, int, int],
    units: tuple[Any, Any],
    pairs: tuple[int, int, int],
    limits: tuple[float, float],
    row: Any,
    bins: int = 0,
) -> Bins | None:
    """The same, and what units did, how far examples differ, and values at or beyond limits.

    Args:
        x: [...].
        shape: [positions, units, positions], what it is to be taken as.
        units: addresses of vectors [units], to which the values that are not zero and the sums of magnitudes are added.
        pairs: every so manyth of the first so many elements is compared to the one that lies so far behind it: in the
            order of distance, number, step.
        limits: the lower and the upper one; NaN is none.
        row: [K].
        bins: as in `add_values`.
    """
    room = _Room.taken() if bins else None
    places = _NOWHERE if room is None else room.places
    used = _functions["add_activation"](x.data_ptr(), *shape, *units, *pairs, bins, *places, *limits, row)
    return None if room is None else room.bins(used)


class Measured(NamedTuple):
    """What `Many.measure` finds."""

    rows: NDArray[np.float64]
    """[tensors, columns], as of `add_values`."""
    largest: NDArray[np.int64]
    """[tensors] where the largest magnitude of each is."""
    bins: list[Bins] | None
    """Of each."""
    samples: NDArray[np.float32]
    """Of all, one behind the other."""


class Many:
    """Tensors that are measured together: Python is left once for all of them, not once for each."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self._tensors = tensors  # they live as long as their addresses are in use
        self.pointers = np.array([x.data_ptr() for x in tensors], dtype=np.uint64)
        self.sizes = tuple([x.numel() for x in tensors])

    def versions(self) -> list[int]:
        """How often each was changed in place, as far as PyTorch has noticed."""
        return [0 if x.is_inference() else x._version for x in self._tensors]

    def measure(self, *, bins: int = 0, sample: int = 0) -> Measured:
        """Rows of all; of each a histogram of at most ``bins`` values, and at most ``sample`` of its values."""
        plan = _plan(self.sizes, sample)
        rows, largest = np.zeros((len(self.sizes), COLUMNS)), np.empty(len(self.sizes), dtype=np.int64)
        samples = np.empty(plan.samples.sum(), dtype=np.float32)
        if not self.sizes:  # there may be no kernels
            return Measured(rows, largest, [] if bins else None, samples)
        used, counts = (np.empty(plan.bins if bins else 0, dtype=dtype) for dtype in (np.uint16, np.int32))
        ends = np.zeros(len(self.sizes) + 1, dtype=np.int64)
        places = (used.ctypes.data, counts.ctypes.data, ends[1:].ctypes.data) if bins else (None, None, None)
        found, found_at = np.zeros((len(plan.parts), COLUMNS)), np.empty(len(plan.parts), dtype=np.int64)
        _functions["measure"](
            *self._given(plan), found.ctypes.data, found_at.ctypes.data, rows.ctypes.data, largest.ctypes.data,
            bins, *places, sample, samples.ctypes.data if sample else None,
        )  # fmt: skip
        if not bins:
            return Measured(rows, largest, None, samples)
        used, counts = used[: ends[-1]].copy(), counts[: ends[-1]].copy()  # they live on until they are written
        return Measured(rows, largest, [(used[a:b], counts[a:b]) for a, b in pairwise(ends.tolist())], samples)

    def are_as(self, before: Measured, sample: int) -> bool:
        """Whether all seem to be what tensors of these sizes were when they were measured with such a sample.

        The samples and what is where the largest magnitudes were are the same to the bit: so nothing was multiplied,
        clamped or added to them. A few other elements may have changed.
        """
        plan = _plan(self.sizes, sample)
        found = before.rows.ctypes.data, before.largest.ctypes.data, sample, before.samples.ctypes.data
        return not self.sizes or bool(_functions["are_same"](*self._given(plan), *found))

    def sample_sizes(self, sample: int) -> NDArray[np.int64]:
        """[tensors] how many values there are of each in a sample of at most so many."""
        return _plan(self.sizes, sample).samples

    def changes(self, before: NDArray[np.float32], sample: int) -> NDArray[np.float64]:
        """[tensors] sums of the squared changes since samples of tensors of these sizes were taken."""
        plan, squares = _plan(self.sizes, sample), np.zeros(len(self.sizes))
        if self.sizes:
            found = np.empty(len(plan.parts))
            places = before.ctypes.data, found.ctypes.data, squares.ctypes.data
            _functions["changes"](*self._given(plan), sample, *places)
        return squares

    def _given(self, plan: _Plan) -> tuple[int, int, int, int]:
        return self.pointers.ctypes.data, plan.sizes.ctypes.data, plan.parts.ctypes.data, len(plan.parts)


class _Plan(NamedTuple):
    """How tensors of some sizes are taken in parts."""

    sizes: NDArray[np.int64]
    """[tensors]."""
    parts: NDArray[np.int64]
    """[parts, 7], as ``Part`` in ``kernels.c``."""
    samples: NDArray[np.int64]
    """[tensors] values in a sample of each."""
    bins: int
    """At most in use in all histograms."""


@lru_cache(64)
def _plan(sizes: tuple[int, ...], sample: int) -> _Plan:
    n = np.array(sizes, dtype=np.int64)
    number = -(-n // _PART)
    tensor = np.repeat(np.arange(len(n)), number)
    start = _PART * (np.arange(len(tensor)) - np.repeat(np.cumsum(number) - number, number))
    stop = np.minimum(start + _PART, n[tensor])
    samples = np.array([m if m <= sample else sample_size(m, sample) for m in sizes], dtype=np.int64)
    samples.flags.writeable = False  # many share it
    first, end = (-(-at * samples[tensor] // n[tensor]) for at in (start, stop))
    places, bins = ((np.cumsum(every) - every)[tensor] for every in (samples, np.minimum(n, BINS)))
    parts = np.column_stack([tensor, start, stop, first, end - first, places + first, bins])
    return _Plan(n, parts, samples, int(np.minimum(n, BINS).sum()))


def sample_size(total: int, wanted: int) -> int:
    """How many elements of a larger number are visited so that they lie evenly; none where none are wanted."""
    number = max(wanted - 3, 0)  # a prime for the sizes in use
    while number and total % number == 0:
        number -= 2
    return number


# Threads ------------------------------------------------------------------------------------------------------------


def follow_threads() -> None:
    """Has large tensors measured by as many threads as PyTorch computes with now: by its own, where they are OpenMP's.

    In a forked child there are none: where the parent has used them, asking for them would wait forever.
    """
    if available:
        _functions["use_team"](_team() if not _forked and torch.get_num_threads() > 1 else None)


@cache
def _team() -> int | None:
    """Where the function is that has a team of OpenMP's threads do something."""
    if torch.backends.openmp.is_available():
        # In the order in which PyTorch's own libraries look for it; on macOS each knows where it has it from.
        for library in (None, torch._C.__file__) if platform.system() == "Linux" else (torch._C.__file__,):
            try:
                return ctypes.cast(ctypes.CDLL(library).GOMP_parallel, ctypes.c_void_p).value
            except (OSError, AttributeError):
                continue
    return None


_forked = False


def _after_fork() -> None:
    global _forked
    _forked = True
    follow_threads()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
