"""The rows of one model: a layer each, and what was summed up for it in the current step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from torchvitals import statistics
from torchvitals.dataflow import Rows
from torchvitals.scratch import Scratch
from torchvitals.structure import limits_of, unit_axis
from torchvitals.sums import ZEROS, HostSums, Limits, UnitSums, empty_row
from torchvitals_tb.schema import Layer

if TYPE_CHECKING:
    from torchvitals.hooks import Scope


_MOST_FUNCTIONS = 3


class GradientSums:
    """What was summed up of the gradients with respect to outputs of one layer."""

    __slots__ = ("bins", "elements", "sums")

    def begin(self, sums: Any) -> None:
        self.sums = sums
        self.elements = 0
        self.bins: Any = None

    def add(self, x: Tensor, missing: int, dtype: torch.dtype, scratch: Scratch, *, histograms: bool) -> None:
        if x.numel():
            bins = histograms and self.bins is None
            found = statistics.add_values(self.sums, x, scratch, subnormal=dtype, bins=bins, missing=missing)
            self.bins = found if bins else self.bins
        if missing:
            self.sums[ZEROS] += missing
        self.elements += x.numel() + missing


class Row:
    """What was summed up for one layer in the current step."""

    __slots__ = (
        "_here", "activation", "activation_bins", "axis", "elements", "expects_gradient", "gradient", "layer", "limits",
        "scratch", "side_gradient", "title", "units",
    )  # fmt: skip

    def __init__(self, layer: Layer, title: str, limits: Limits) -> None:
        self.layer = layer
        self.title = title
        """The name of all calls of the layer."""
        self.limits = limits
        self.gradient = GradientSums()
        self.axis: tuple[Any, int | None] = (None, None)
        """The shape and the feeders of the last output, and its axis that counts units."""
        self.activation: Any = None
        self.units: UnitSums | None = None
        self._here: tuple[Any, Any, UnitSums | None] = None, None, None

    def settle(self, sums: HostSums, index: int, start: int) -> None:
        """Where the sums of the row are on the host: the row itself, and the first of its units."""
        before = self._here[0]
        self._here = *sums.row(index), None if self.layer.units is None else sums.units_of(start, self.layer.units)
        if before is not None and self.activation is before:  # in the middle of a step
            observations = self.units.observations if self.units else 0
            self.activation, self.gradient.sums, self.units = self._here
            if self.units:
                self.units.observations = observations

    def begin(self, scratch: Scratch) -> None:
        """Its first numbers in a step are coming; on the host the sums are clear."""
        self.scratch = scratch
        self.elements = 0
        self.activation_bins: Any = None
        self.side_gradient: GradientSums | None = None
        """Of further outputs, such as the state of an LSTM: it counts where the loss does not use the first one."""
        self.expects_gradient = False
        if scratch.host:
            self.activation, gradient, self.units = self._here
            if self.units is not None:
                self.units.observations = 0
        else:
            self.activation, gradient = empty_row(scratch), empty_row(scratch)
            self.units = None if self.layer.units is None else UnitSums(*scratch.zeros(2, self.layer.units))
        self.gradient.begin(gradient)

    def used_gradient(self) -> GradientSums:
        return self.side_gradient if self.side_gradient is not None and not self.gradient.elements else self.gradient


class Table:
    """All rows of a model, in the order in which they were first seen. They stay; a step fills some of them."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.sums = HostSums()
        self.starts = [0]
        """Where the units of each row begin among those of all, and where they end."""
        self._index: dict[tuple[str, str, int], int] = {}
        self._names: set[str] = set()
        self._modules: list[str] = []
        """Of each row the title of the module, also where functions come after it."""

    def find(self, title: str, function: str, call: int) -> int | None:
        """The row of a call of a module, or of a function (else empty) in it, if there is one yet."""
        return self._index.get((title, function, call))

    def title_of(self, row: int) -> str:
        """What a function is named after that this row feeds: after a few functions in a row, the module again."""
        title = self.rows[row].title
        return self._modules[row] if title.count("/") - self._modules[row].count("/") >= _MOST_FUNCTIONS else title

    def add(
        self,
        title: str,
        function: str,
        call: int,
        scope: Scope,
        source: str | None,
        output: Tensor,
        fed_by: Rows,
        limits: Limits,
    ) -> int:
        """A new row.

        Args:
            title: of the module, or of what feeds the function.
            function: empty for a module.
            call: counted from 0 within a forward.
            scope: the module, or the one that calls the function.
            source: where it is called.
            output: the first it gave.
            fed_by: rows that it came from.
            limits: outputs at or beyond these are saturated.
        """
        kind: Literal["module", "function"] = "function" if function else "module"
        shape = statistics.local(output).shape
        named = title + ("/" + function if function else "")
        name = f"{named}@{call}" if call else named
        while name in self._names:  # a module's own name may look like one of these
            name += "'"
        axis = self.axis(scope, kind, shape, fed_by)
        activation = function or scope.function or scope.inner_function(output)
        layer = Layer(
            name=name,
            kind=kind,
            type=function or scope.module_type,
            function=activation or None,
            parent=scope.name if function else scope.name.rpartition(".")[0],
            call=call,
            shape=tuple(shape),
            units=None if axis is None else shape[axis],
            unit_axis=axis,
            source=source,
            dtype=str(output.dtype).removeprefix("torch."),
        )
        if not function and not scope.function:
            limits = limits_of(activation, None)
        fed = next((r for r in reversed(fed_by) if self.rows[r].title == title), None)
        self._modules.append(self._modules[fed] if function and fed is not None else title)
        self.rows.append(Row(layer, named, limits))
        self.starts.append(self.starts[-1] + (layer.units or 0))
        self._settle()
        self._names.add(name)
        index = self._index[title, function, call] = len(self.rows) - 1
        return index

    def _settle(self) -> None:
        """Gives the last row its place among the sums on the host."""
        first = len(self.rows) - 1
        if first >= len(self.sums.rows) or self.starts[-1] > self.sums.units.shape[1]:
            self.sums, first = self.sums.grown(len(self.rows), self.starts[-1]), 0
        for index in range(first, len(self.rows)):
            self.rows[index].settle(self.sums, index, self.starts[index])

    def axis_again(self, row: Row, scope: Scope, shape: torch.Size, fed_by: Rows) -> int | None:
        """The axis of another output of a row, if it counts the same units."""
        if row.axis[0] != (shape, fed_by):
            axis = self.axis(scope, row.layer.kind, shape, fed_by)
            row.axis = (shape, fed_by), None if axis is None or shape[axis] != row.layer.units else axis
        return row.axis[1]

    def axis(self, scope: Scope, kind: str, shape: torch.Size, fed_by: Rows) -> int | None:
        """The axis of an output that counts units; see `structure.unit_axis`."""
        behind = (self.rows[index].layer for index in reversed(fed_by))
        feeder = next((layer for layer in behind if layer.units is not None), None)
        if kind == "function":
            return unit_axis(None, shape, feeder, pointwise=True)
        pointwise = scope.function is not None
        return unit_axis(scope.fixed_axis, shape, feeder, pointwise=pointwise, sizes=scope.widths)
