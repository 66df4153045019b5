"""The compiled reductions against NumPy in float64, in every variant that this machine runs, and life without them."""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tests.torchvitals.training import fresh, one_step
from torchvitals import attach_hooks, kernels, scratch
from torchvitals.sums import ABS_MAX, COLUMNS, COMPARED, NONFINITE, SATURATED, SPREAD, SUBNORMAL, SUM, SUMSQ, ZEROS
from torchvitals_tb import load_run
from torchvitals_tb.packing import bin_of

NO_BINS = 0, None, None
NO_LIMITS = np.nan, np.nan
TINY = float(np.finfo(np.float32).tiny)
HERE = kernels.library_name(platform.system(), platform.machine(), torch.backends.cpu.get_cpu_capability())
LEVELS = {"AVX512": ["AVX512", "AVX2"]}.get(torch.backends.cpu.get_cpu_capability(), [None])


@pytest.fixture(params=[(level, threads) for level in LEVELS for threads in (1, 3)], scope="module", ids=str)
def functions(request):
    """Of each variant, alone and with threads: a processor with AVX-512 runs that for AVX2 too."""
    level, threads = request.param
    with pytest.MonkeyPatch.context() as patched:
        if level is not None:
            patched.setattr(torch.backends.cpu, "get_cpu_capability", lambda: level)
        found = kernels.load()
    if not found:
        pytest.skip(f"no kernels for {platform.machine()} {level or ''}")
    before = torch.get_num_threads()
    with_threads(found, threads)
    yield found
    with_threads(found, 1)
    torch.set_num_threads(before)


def with_threads(functions, number):
    torch.set_num_threads(number)
    functions["use_team"](kernels._team() if number > 1 else None)


@pytest.mark.skipif(platform.system() != "Linux" or not kernels.available, reason="no kernels, or other threads")
def test_pytorch_has_threads_for_them():
    """Else every test with threads would be one without."""
    assert kernels._team()


def test_this_machine_has_kernels():
    """Where setup.py builds some: else everything here would be skipped and nobody would know."""
    assert kernels.available == (HERE is not None)


def make(kind, shape, rng):
    x = rng.standard_normal(shape).astype(np.float32)
    with np.errstate(all="ignore"):
        if kind == "relu":
            x = np.maximum(x, 0)
        elif kind == "dead units":
            x[:, ::2] = 0
        elif kind == "far from zero":
            x += np.float32(1e4)
        elif kind == "constant":
            x[:] = 0.1
        elif kind == "zero":
            x[:] = 0
        elif kind == "large":
            x *= np.float32(3e37)
        elif kind == "many scales":
            x *= (10.0 ** rng.integers(-44, 37, shape)).astype(np.float32)
        elif kind == "subnormal":
            x *= np.float32(1e-39)
        elif kind == "not finite":
            flat = x.reshape(-1)
            flat[rng.integers(0, flat.size, 1 + flat.size // 50)] = rng.choice([np.nan, np.inf, -np.inf])
    return np.ascontiguousarray(x)


KINDS = [
    "plain", "relu", "dead units", "far from zero", "constant", "zero", "large", "many scales", "subnormal",
    "not finite",
]  # fmt: skip
SHAPES = [
    (1, 1, 1), (1, 7, 1), (5, 3, 1), (256, 512, 1), (600, 33, 1), (1030, 16, 1), (40, 2100, 1), (3, 5000, 1),
    (17, 10, 4), (64, 3, 9), (33, 20, 49), (9, 64, 127), (4, 6, 128), (3, 5, 1500), (1, 2, 5000), (2050, 2, 2),
    (2060, 130, 1), (9001, 15, 1), (350, 70, 9), (13, 100, 131), (1, 3, 80_001), (30, 90, 64), (3, 700, 100),
]  # fmt: skip


def sums_are(row, x):
    """A row against all elements in float64."""
    wide = x.astype(np.float64).ravel()
    with np.errstate(all="ignore"):
        scale, squares = np.abs(wide).sum(), np.square(wide).sum()
        np.testing.assert_allclose(row[SUM], wide.sum(), atol=1e-6 * scale if np.isfinite(scale) else 0)
        np.testing.assert_allclose(row[SUMSQ], squares, rtol=1e-6)
        variance = np.square(wide - wide.mean()).mean()
        if np.isfinite(squares):
            found = row[SUMSQ] / wide.size - (row[SUM] / wide.size) ** 2
            assert found == pytest.approx(variance, rel=1e-4, abs=3e-11 * squares / wide.size)
    np.testing.assert_equal(row[ABS_MAX], np.abs(wide).max())
    assert row[ZEROS] == (wide == 0).sum()
    assert row[NONFINITE] == (~np.isfinite(wide)).sum()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_units(kind, shape, functions):
    x = make(kind, shape, np.random.default_rng(sum(shape)))
    row, units = np.zeros(COLUMNS), np.zeros((2, shape[1]))
    places = units.ctypes.data, units[1:].ctypes.data
    functions["add_activation"](x.ctypes.data, *shape, *places, 0, 0, 1, *NO_BINS, *NO_LIMITS, row.ctypes.data)
    sums_are(row, x)
    wide = x.astype(np.float64)
    assert units[0].tolist() == (wide != 0).sum((0, 2)).tolist()
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(units[1], np.abs(wide).sum((0, 2)), rtol=1e-5)


@pytest.mark.parametrize("n", [1, 15, 16, 33, 1023, 1024, 1025, 5000, 262_144, 270_001])
@pytest.mark.parametrize("kind", KINDS)
def test_values(kind, n, functions):
    x = make(kind, (n, 1), np.random.default_rng(n))
    row = np.zeros(COLUMNS)
    functions["add_values"](x.ctypes.data, n, TINY, *NO_BINS, row.ctypes.data)
    sums_are(row, x)
    assert row[SUBNORMAL] == ((x != 0) & (np.abs(x) < TINY)).sum()
    tiny = float(torch.finfo(torch.float16).tiny)
    functions["add_values"](x.ctypes.data, n, tiny, *NO_BINS, row.ctypes.data)
    assert row[SUBNORMAL] == ((x != 0) & (np.abs(x) < TINY)).sum() + ((x != 0) & (np.abs(x) < tiny)).sum()
    assert row[ZEROS] == 2 * (x == 0).sum()


def test_what_a_row_held_before_is_added_to(functions):
    x = np.array([3.0, -4.0], dtype=np.float32)
    row = np.arange(1.0, COLUMNS + 1)
    functions["add_values"](x.ctypes.data, 2, 0.0, *NO_BINS, row.ctypes.data)
    assert row.tolist() == [0, 27, 3, 4, 5, 6, 7, 8, 9]
    nan = np.array([np.nan], dtype=np.float32)
    functions["add_values"](nan.ctypes.data, 1, 0.0, *NO_BINS, row.ctypes.data)
    functions["add_values"](x.ctypes.data, 2, 0.0, *NO_BINS, row.ctypes.data)
    assert np.isnan(row[ABS_MAX])


@pytest.mark.parametrize(("low", "high"), [(-1.0, 1.0), (np.nan, 0.5), (0.0, np.nan)])
@pytest.mark.parametrize("units", [True, False])
@pytest.mark.parametrize("n", [1, 31, 5000, 300_000])
def test_saturated(n, units, low, high, functions):
    x = np.random.default_rng(n).choice(np.float32([-2, -1, -0.5, 0, 0.5, 1, 2, np.nan]), n)
    row, sums = np.zeros(COLUMNS), np.zeros((2, n))
    places = (sums.ctypes.data, sums[1:].ctypes.data) if units else (None, None)
    functions["add_activation"](x.ctypes.data, 1, n, 1, *places, 0, 0, 1, *NO_BINS, low, high, row.ctypes.data)
    assert row[SATURATED] == ((x <= low) | (x >= high)).sum()


@pytest.mark.parametrize("distance", [1, 3])
@pytest.mark.parametrize("n", [1, 40, 1000])
def test_spread(n, distance, functions):
    x = np.random.default_rng(n).standard_normal(3 * n).astype(np.float32) * np.float32(1e30)
    row = np.zeros(COLUMNS)
    places = x.ctypes.data, 3, 1, n, None, None
    functions["add_activation"](*places, 2 * n, n, distance, *NO_BINS, *NO_LIMITS, row.ctypes.data)
    wide = x.astype(np.float64)
    apart = (wide[:n] - wide[2 * n :])[::distance]
    assert row[SPREAD] == pytest.approx(np.square(apart).sum() / 2, rel=1e-12)
    assert row[COMPARED] == len(apart)


@pytest.mark.parametrize("wanted", [4096, 16_384])
def test_many(wanted, functions, monkeypatch):
    monkeypatch.setattr(kernels, "_functions", functions)
    rng = np.random.default_rng(0)
    sizes = [1, 100, wanted, wanted + 1, wanted - 3, 3 * (wanted - 3), 70_000, 262_144, 600_000]
    before = [torch.from_numpy(make("many scales" if n % 2 else "plain", (n,), rng)) for n in sizes]
    many = kernels.Many(before)
    measured = many.measure(bins=4096, sample=wanted)
    places = [np.arange(n) if n <= wanted else scratch.spread(n, wanted) for n in sizes]
    assert many.sample_sizes(wanted).tolist() == [len(at) for at in places]
    samples = np.split(measured.samples, np.cumsum([len(at) for at in places])[:-1])
    after = [x + 0.1 * torch.randn_like(x) for x in before]
    changes = kernels.Many(after).changes(measured.samples, wanted)
    for t, (x, y) in enumerate(zip(before, after, strict=True)):
        sums_are(measured.rows[t], x.numpy())
        assert samples[t].tolist() == x.numpy()[places[t]].tolist()
        looked_at = x.numpy() if len(x) <= 4096 else x.numpy()[scratch.spread(len(x), 4096)]
        used, counts = np.unique(bin_of(looked_at), return_counts=True)
        bins, numbers = measured.bins[t]
        assert (bins.tolist(), numbers.tolist()) == (used.tolist(), counts.tolist())
        one = kernels.add_values(x, 0.0, (ctypes.c_double * COLUMNS)(), 4096)
        assert [a.tolist() for a in one] == [used.tolist(), counts.tolist()]
        change = (y.double() - x.double()).numpy()[places[t]]
        assert changes[t] == pytest.approx(np.square(change).sum(), rel=1e-12)
    assert many.measure().bins is None and not len(many.measure().samples)
    assert many.are_as(measured, wanted) and kernels.Many([x.clone() for x in before]).are_as(measured, wanted)
    assert not kernels.Many(after).are_as(measured, wanted)
    for t, at in enumerate(places):
        value = before[t][at[-1]].item()
        before[t][at[-1]] = 3
        assert not many.are_as(measured, wanted)
        before[t][at[-1]] = value
    assert many.are_as(measured, wanted)
    largest = int(measured.largest[-1])
    assert abs(before[-1][largest]) == before[-1].abs().max() and largest not in places[-1]
    before[-1][largest] *= 0.5
    assert not many.are_as(measured, wanted)


@pytest.mark.parametrize("place", [5, 599_999])
def test_a_part_that_is_not_finite_is_not_forgotten(place, functions, monkeypatch):
    monkeypatch.setattr(kernels, "_functions", functions)
    for value in (float("nan"), float("inf")):
        x = torch.ones(600_000)
        x[place] = value
        measured = kernels.Many([torch.ones(3), x]).measure()
        np.testing.assert_equal(measured.rows[1, ABS_MAX], value)
        assert measured.rows[1, NONFINITE] == 1 and measured.rows[0, ABS_MAX] == 1
        one = (ctypes.c_double * COLUMNS)()
        kernels.add_values(x, 0.0, one)
        np.testing.assert_equal(one[ABS_MAX], value)


@pytest.mark.parametrize("shape", [(1, 600_000, 1), (700, 300, 1), (9001, 15, 1), (40, 70, 130), (350, 70, 9)], ids=str)
def test_any_number_of_threads_gives_the_same(shape, functions, monkeypatch):
    """To the last bit: the parts are the same, and so is the order in which they are put together."""
    monkeypatch.setattr(kernels, "_functions", functions)
    x = make("many scales", shape, np.random.default_rng(0))
    outer, units, inner = shape

    def measured(threads):
        with_threads(functions, threads)
        row, sums = np.zeros(COLUMNS), np.zeros((2, units))
        used, counts = np.zeros(1024, dtype=np.uint16), np.zeros(1024, dtype=np.int32)
        bins = 4096, used.ctypes.data, counts.ctypes.data
        places = sums.ctypes.data, sums[1:].ctypes.data
        pairs = outer // 2 * units * inner, min(outer // 2, 4) * units * inner, 1
        functions["add_activation"](x.ctypes.data, *shape, *places, *pairs, *bins, -1.0, 1.0, row.ctypes.data)
        values = np.zeros(COLUMNS)
        functions["add_values"](x.ctypes.data, x.size, TINY, *NO_BINS, values.ctypes.data)
        many = kernels.Many([torch.from_numpy(x), torch.from_numpy(x[:, :3].copy())])
        together = many.measure(bins=4096, sample=16_384)
        changes = many.changes(together.samples * np.float32(1.5), 16_384)
        found = row, sums, used, counts, values, together.rows, together.largest, together.samples, changes
        return [a.tolist() for a in found], [(b.tolist(), n.tolist()) for b, n in together.bins]

    before = torch.get_num_threads()
    alone, together = measured(1), measured(3)
    with_threads(functions, before)
    assert together == alone


@pytest.mark.skipif(not hasattr(os, "fork") or not kernels.available, reason="no processes that are forked")
def test_a_forked_child_does_not_wait_for_the_threads_of_its_parent(tmp_path):
    """They are not there. PyTorch would wait too: in the child nothing else is large enough for them."""
    script = tmp_path / "forked.py"
    script.write_text("""
import os, sys, numpy, torch
from torch import nn
from torchvitals import attach_hooks

def train(folder):
    table = torch.from_numpy(numpy.ones((400_000, 1), dtype=numpy.float32))
    model = nn.Sequential(nn.Embedding.from_pretrained(table), nn.Linear(1, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with attach_hooks(model, folder, every=1, on_error="raise"):
        for _ in range(2):
            model(torch.arange(3)).sum().backward()
            optimizer.step()

torch.set_num_threads(3)
train(sys.argv[1] + "/parent")
child = os.fork()
if not child:
    train(sys.argv[1] + "/child")
    os._exit(0)
sys.exit(os.waitpid(child, 0)[1])
""")
    subprocess.run([sys.executable, script, tmp_path], check=True, timeout=60)
    assert len(load_run(tmp_path / "parent").steps) == len(load_run(tmp_path / "child").steps) == 2


# Where there are none -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("system", "machine", "capability", "name"),
    [
        ("Linux", "x86_64", "AVX512", "linux-x86_64_v4.so"),
        ("Linux", "x86_64", "AVX2", "linux-x86_64_v3.so"),
        ("Windows", "AMD64", "AVX2", None),
        ("Linux", "ppc64le", "VSX", None),
        ("Darwin", "arm64", "DEFAULT", "darwin-aarch64.dylib"),
        ("Linux", "aarch64", "SVE256", "linux-aarch64.so"),
        ("Linux", "x86_64", "DEFAULT", None),
    ],
)
def test_name_of_the_library(system, machine, capability, name):
    assert kernels.library_name(system, machine, capability) == name


@pytest.fixture
def library(tmp_path, monkeypatch) -> Path:
    """Where this machine's would be."""
    monkeypatch.setattr(kernels, "library_name", lambda *_: "kernels.so")
    return tmp_path / "kernels.so"


def test_a_missing_library_is_no_matter(library, caplog):
    assert kernels.load(library.parent) == {} and not caplog.messages


def test_a_library_that_does_not_load_is_said(library, caplog):
    library.write_bytes(b"\x7fELF, but not really")
    assert kernels.load(library.parent) == {}
    assert len(caplog.messages) == 1 and "the slow way: kernels.so: " in caplog.text


@pytest.mark.skipif(not kernels.available, reason="no kernels for this processor")
def test_without_pythons_lock_they_are_left_alone(monkeypatch):
    assert kernels.load()
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)
    assert kernels.load() == {}


@pytest.mark.skipif(not kernels.available, reason="no kernels for this processor")
def test_a_library_that_computes_something_else_is_not_used(library, monkeypatch, caplog):
    shutil.copy(kernels.FOLDER / HERE, library)
    monkeypatch.setattr(kernels, "_computes", lambda functions: False)
    assert kernels.load(library.parent) == {}
    assert "does not compute what it should" in caplog.text


@pytest.mark.skipif(not kernels.available, reason="no kernels for this processor")
def test_a_library_of_another_source_is_not_used(tmp_path, monkeypatch, caplog):
    folder = tmp_path / "compiled"
    shutil.copytree(kernels.FOLDER, folder)
    source = tmp_path / "kernels.c"
    shutil.copy(kernels.FOLDER.with_name("kernels.c"), source)
    assert kernels.load(folder)
    source.write_text(source.read_text().replace("int64_t n", "int32_t n"))
    assert kernels.load(folder) == {}
    assert "made from another kernels.c: " in caplog.text


@pytest.mark.skipif(not kernels.available, reason="no kernels for this processor")
def test_another_thread_that_measures_at_the_same_time_does_not_mix_in(monkeypatch):
    """Python may go on with another thread between the call of a kernel and what is done with its result."""
    x, other = (torch.full((n,), float(n)) for n in (300, 70))
    row, others = (np.zeros(COLUMNS) for _ in range(2))

    def interrupted(name):
        real = kernels._functions[name]

        def call(*arguments):
            result = real(*arguments)
            with monkeypatch.context() as inside:
                inside.setitem(kernels._functions, name, real)
                kernels.add_values(other, 0.0, others.ctypes.data, 4096)
            return result

        return call

    for name in ("add_values", "add_activation"):
        monkeypatch.setitem(kernels._functions, name, interrupted(name))
    places, given = (None, None), (row.ctypes.data, 4096)
    found = [
        kernels.add_values(x, 0.0, *given),
        kernels.add_activation(x, (1, 1, 300), places, (0, 0, 1), (np.nan, np.nan), *given),
    ]
    assert [(bins.tolist(), counts.tolist()) for bins, counts in found] == [
        (bin_of(np.float32([300])).tolist(), [300])
    ] * 2


@pytest.mark.parametrize("name", ["residual", "mlp"])
def test_without_kernels_the_numbers_are_the_same(name, tmp_path, monkeypatch):
    def record(run):
        model, batch = fresh(name)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        with attach_hooks(model, run, every=1, on_error="raise"):
            for _ in range(3):
                one_step(model, batch, name, optimizer)
        return load_run(run)

    compiled = record(tmp_path / "compiled")
    monkeypatch.setattr(kernels, "available", False)
    monkeypatch.setattr(kernels, "_functions", {})
    plain = record(tmp_path / "plain")
    assert plain.statistics == compiled.statistics
    for statistic in plain.statistics:
        np.testing.assert_allclose(
            plain[statistic].values, compiled[statistic].values, rtol=1e-4, atol=1e-7, err_msg=statistic
        )
    for kind in ("activation", "gradient", "weight", "weight_gradient"):
        for (_, a), (_, b) in zip(plain.histograms(kind), compiled.histograms(kind), strict=True):
            assert a.bins.tolist() == b.bins.tolist() and a.counts.tolist() == b.counts.tolist()


def test_a_view_of_the_imaginary_part_of_a_conjugate_is_negated(tmp_path):
    """Its values are stored with the other sign."""

    class Imaginary(nn.Module):
        def forward(self, x):
            return torch.view_as_complex(x).conj().imag

    model = nn.Sequential(nn.Linear(4, 2), Imaginary())
    x = torch.randn(6, 4)
    with attach_hooks(model, tmp_path, every=1, on_error="raise"):
        out = model(x)
        out.sum().backward()
        torch.optim.SGD(model.parameters(), lr=0.1).step()
    run = load_run(tmp_path)
    assert run["activation/mean"].values[0, 1] == pytest.approx(out.mean().item(), rel=1e-5)


def test_tensors_without_memory(tmp_path):
    """Sharding frees parameters that are not in use; a gradient of zeros may have no memory at all."""

    class Zero(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, gradient):
            return torch._efficientzerotensor(gradient.shape)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.unused = nn.Linear(4, 3), nn.Linear(400, 300)

        def forward(self, x):
            return Zero.apply(self.inner(x))

    model = Net()
    optimizer = torch.optim.SGD(model.inner.parameters(), lr=0.1)
    with attach_hooks(model, tmp_path, every=1, on_error="raise"):
        model(torch.randn(5, 4)).sum().backward()
        model.unused.weight.untyped_storage().resize_(0)
        model.unused.bias.grad = torch.ones(310)[10:]
        model.unused.bias.grad.untyped_storage().resize_(0)
        optimizer.step()
    run = load_run(tmp_path)
    at = [layer.name for layer in run.layers].index("inner")
    assert run["gradient/zero_fraction"].values[0, at] == 1 and run["gradient/rms"].values[0, at] == 0
    sizes = dict(zip((p.name for p in run.parameters), run["parameter/rms"].values[0], strict=True))
    gradients = dict(zip((p.name for p in run.parameters), run["parameter/grad_rms"].values[0], strict=True))
    assert np.isnan(gradients["unused.bias"]) and gradients["inner.bias"] == 0
    assert np.isnan(sizes["unused.weight"]) and sizes["unused.bias"] > 0 and sizes["inner.weight"] > 0
