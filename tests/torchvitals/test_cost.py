"""What hooks cost, counted: operations, waiting for the device, memory, leaks. Times are for benchmarks."""

from __future__ import annotations

import gc
import sys
import weakref

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from tests.torchvitals.test_statistics import empty_units
from tests.torchvitals.test_training_unchanged import hook_counts
from tests.torchvitals.training import fresh, one_step
from tests.zoo import ZOO
from torchvitals import attach_hooks, statistics
from torchvitals.scratch import CHUNK, Scratch
from torchvitals.sums import empty_row
from torchvitals_tb import load_run


class Operations(TorchDispatchMode):
    """Every operation that PyTorch is asked for."""

    def __init__(self):
        super().__init__()
        self.names = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        moves = kwargs is not None and kwargs.get("device") is not None and "_to_copy" in str(func)
        self.names.append(f"{func} to another device" if moves else str(func))
        return func(*args, **(kwargs or {}))


WAITING = (
    "_local_scalar_dense",
    "aten.item",
    "is_nonzero",
    "nonzero",
    "unique",
    "masked_select",
    "bincount",
    "another",
)


def test_an_unsampled_step_runs_no_operation_of_ours_and_carries_no_hook(tmp_path):
    def operations(name, attached):
        model, batch = fresh(name)
        optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=0.01)
        vitals = attach_hooks(model, tmp_path / name, every=100, on_error="raise") if attached else None
        one_step(model, batch, name, optimizer)
        with Operations() as counted:
            one_step(model, batch, name, optimizer)
        assert not any(hook_counts(model)) and not torch.nn.modules.module._has_any_global_hook()
        if vitals:
            vitals.remove()
        return counted.names

    for name in ZOO:
        assert operations(name, True) == operations(name, False), name


@pytest.fixture
def as_on_a_device(monkeypatch):
    """The way of every device but the CPU, on the CPU: reading a number there would stop its queue."""
    real = Scratch.__init__
    monkeypatch.setattr(Scratch, "__init__", lambda self, device: real(self, device, host=False))


@pytest.mark.parametrize("name", ZOO)
def test_nothing_waits_for_the_device_in_a_sampled_forward_and_backward(name, as_on_a_device, tmp_path):
    def waits(attached):
        model, batch = fresh(name)
        optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
        vitals = attach_hooks(model, tmp_path, every=1, on_error="raise") if attached else None
        one_step(model, batch, name, optimizer)
        with Operations() as counted:
            loss = ZOO[name].loss(model(*batch))
            loss.backward()
        assert not attached or any("aten.sum" in op for op in counted.names)
        if vitals:
            optimizer.step()
            vitals.remove()
        return [op for op in counted.names if any(w in op for w in WAITING)]

    assert waits(True) == waits(False)


def test_one_copy_leaves_the_device_and_the_training_does_not_wait_for_it(as_on_a_device, tmp_path, monkeypatch):
    """Every tensor counts as one of a device; what the thread that writes does is not counted."""
    from torchvitals import frames

    copies = []
    real = frames.Fetch.__init__

    def init(self, items):
        real(self, items)
        copies.append(self._copies)

    monkeypatch.setattr(frames, "_is_far", lambda x: True)
    monkeypatch.setattr(frames.Fetch, "__init__", init)
    model, batch = fresh("residual")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with attach_hooks(model, tmp_path, every=1, on_error="raise"):
        for _ in range(3):
            optimizer.zero_grad()
            ZOO["residual"].loss(model(*batch)).backward()
            with Operations() as counted:
                optimizer.step()
            assert not [op for op in counted.names if any(w in op for w in WAITING)]
    assert [len(step) for step in copies] == [1, 1, 1]
    assert all(event is None and flat.ndim == 1 for ((_, flat, event),) in copies)
    assert load_run(tmp_path).steps.tolist() == [0, 1, 2]


def test_nothing_is_measured_while_a_graph_is_captured(tmp_path, monkeypatch):
    model, batch = fresh("mlp")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with attach_hooks(model, tmp_path, every=1, on_error="raise") as vitals:
        one_step(model, batch, "mlp", optimizer)
        with monkeypatch.context() as patched:
            patched.setattr(torch.cuda, "is_initialized", lambda: True)
            patched.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
            with Operations() as ours:
                one_step(model, batch, "mlp", optimizer)
        assert vitals.step == 1
        one_step(model, batch, "mlp", optimizer)
    with Operations() as bare:
        one_step(model, batch, "mlp", optimizer)
    assert ours.names == bare.names
    assert load_run(tmp_path).steps.tolist() == [0, 1]


def test_both_ways_give_the_same_numbers(tmp_path, request):
    import numpy as np

    def record(run):
        model, batch = fresh("residual")
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        with attach_hooks(model, run, every=1, on_error="raise"):
            for _ in range(3):
                one_step(model, batch, "residual", optimizer)
        return load_run(run)

    host = record(tmp_path / "host")
    request.getfixturevalue("as_on_a_device")
    device = record(tmp_path / "device")
    for name in host.statistics:
        np.testing.assert_allclose(device[name].values, host[name].values, rtol=1e-4, atol=1e-7, err_msg=name)


def tensors_alive():
    gc.collect()
    return [x for x in gc.get_objects() if isinstance(x, Tensor)]


@pytest.mark.parametrize("on_a_device", [False, True])
def test_what_a_sampled_step_keeps_does_not_grow_with_the_batch(on_a_device, tmp_path, request):
    if on_a_device:
        request.getfixturevalue("as_on_a_device")

    def kept(batch):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(10))
        model(torch.zeros(1, 3, 16, 16))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        before = {id(x) for x in tensors_alive()}
        with attach_hooks(model, tmp_path / str(batch), every=1, on_error="raise"):
            for _ in range(2):
                model(torch.randn(batch, 3, 16, 16)).square().mean().backward()
                optimizer.step()
                optimizer.zero_grad()
            storages = {}
            for x in tensors_alive():
                if id(x) not in before:
                    storages[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return sum(storages.values())

    small, large = kept(64), kept(256)
    if on_a_device:  # the rows, and where the samples of tensors of each size are taken
        assert 0 < large <= small + (1 << 20)
    else:  # no tensor holds the rows
        assert small == large == 0


@pytest.mark.parametrize("on_a_device", [False, True])
def test_scratch_is_bounded_whatever_the_tensor(on_a_device):
    """A few pieces of one mebibyte, also for a tensor whose single examples are larger."""
    scratch = Scratch(torch.device("cpu"), host=not on_a_device)
    for shape, axis in (((2, 64, 200, 200), 1), ((1, 3, 1200, 1200), 1), ((3, 1_500_000), 1), ((5000, 700), 1)):
        x = torch.randn(shape).bfloat16()
        units = empty_units(scratch, shape[axis])
        sums = empty_row(scratch)
        statistics.add_activation(sums, x, axis, scratch, units, (-1.0, 1.0))
        statistics.add_values(sums, x, scratch, subnormal=x.dtype)
        others = [d for d in range(x.ndim) if d != axis]
        magnitude, fired = (torch.as_tensor(v, dtype=torch.float64) for v in (units.magnitude, units.fired))
        torch.testing.assert_close(magnitude, x.double().abs().sum(others), rtol=1e-5, atol=1e-3)
        assert torch.equal(fired, (x != 0).double().sum(others))
        assert units.observations == x.numel() // shape[axis]
    held = sum(buffer.numel() * buffer.element_size() for buffer in scratch._buffers.values())
    assert held <= 4 * CHUNK * 4


def test_the_collector_rests_while_any_model_is_armed_and_is_then_as_it_was(tmp_path):
    def model_and_step():
        model = nn.Linear(4, 2)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)

        def step():
            model(torch.randn(3, 4)).sum().backward()
            optimizer.step()

        return model, step

    usual = gc.get_threshold()
    try:
        (a, step_a), (b, step_b) = model_and_step(), model_and_step()
        with attach_hooks(a, tmp_path / "a", every=2), attach_hooks(b, tmp_path / "b", every=3):
            resting = []
            for _ in range(6):
                resting.append(gc.get_threshold()[0] > usual[0])
                step_a()
                step_b()
            assert resting == [True, False, True, True, True, False]
            assert gc.get_threshold()[1:] == usual[1:]
        assert gc.get_threshold() == usual
        with attach_hooks(a, tmp_path / "c", every=2):
            gc.set_threshold(123, 4, 5)  # the training's own, set in a sampled step
            step_a()
            assert gc.get_threshold() == (123, 4, 5)
        gc.set_threshold(0)
        with attach_hooks(a, tmp_path / "d", every=1):
            assert gc.get_threshold()[0] == 0
    finally:
        gc.set_threshold(*usual)


def test_hundreds_of_sampled_steps_leak_nothing(tmp_path):
    class Net(nn.Module):
        """With a parameter handed through, whose hook would pile up."""

        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(4, 8), nn.Linear(8, 2)
            self.token = self.Token()

        class Token(nn.Module):
            def __init__(self):
                super().__init__()
                self.weight = nn.Parameter(torch.ones(8))

            def forward(self):
                return self.weight

        def forward(self, x):
            return self.b(torch.relu(self.a(x)) + self.token())

    torch.manual_seed(0)
    model = Net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    x = torch.randn(4, 4)

    def steps(n):
        for _ in range(n):
            optimizer.zero_grad()
            model(x).square().mean().backward()
            optimizer.step()
        vitals.flush()  # else what waits to be written is counted too
        tensors = len(tensors_alive())
        return sys.getallocatedblocks(), tensors

    with attach_hooks(model, tmp_path, every=1, on_error="raise", mirror=False) as vitals:
        steps(40)
        blocks, tensors = steps(20)
        more_blocks, more_tensors = steps(400)
        assert more_tensors == tensors
        # One a step would be 400; the interpreter's own come and go by a hundred.
        assert more_blocks - blocks < 250
        assert len(model.token.weight._backward_hooks or ()) <= 1
        out = model(x)
        gone = weakref.ref(out)
        del out
        assert gone() is None
    assert load_run(tmp_path).steps.tolist() == list(range(460))


def test_attaching_makes_room_for_all_parameters_at_once(tmp_path, monkeypatch):
    """One by one, each time with a copy of all, took 3 of 4 seconds for a model of 10,000."""
    calls = []
    real = np.pad
    monkeypatch.setattr(np, "pad", lambda *args, **options: (calls.append(args), real(*args, **options))[1])
    with attach_hooks(nn.Sequential(*[nn.Linear(2, 2) for _ in range(50)]), tmp_path, on_error="raise"):
        assert len(calls) <= 2
