"""Every reduction against NumPy in float64, on both ways a device is measured."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.torchvitals import twin
from torchvitals import statistics as st
from torchvitals.scratch import Scratch
from torchvitals.sums import (
    ABS_MAX,
    BINS,
    COMPARED,
    HISTOGRAM_SAMPLE,
    NONFINITE,
    SATURATED,
    SPREAD,
    SUBNORMAL,
    ZEROS,
    HostSums,
    UnitSums,
    empty_row,
)
from torchvitals_tb import packing


def empty_units(scratch, units):
    """As a row of a table has them."""
    return HostSums(1, units).units_of(0, units) if scratch.host else UnitSums(*scratch.zeros(2, units))


TENSORS = {
    "plain": lambda: torch.randn(300, 40),
    "many pieces": lambda: torch.randn(3000, 200),
    "one long row": lambda: torch.randn(1, st.CHUNK + 17),
    "images": lambda: torch.randn(8, 16, 10, 10),
    "channels last": lambda: torch.randn(8, 16, 10, 10).to(memory_format=torch.channels_last),
    "transposed": lambda: torch.randn(50, 60).t(),
    "sliced": lambda: torch.randn(40, 40)[::2, ::3],
    "expanded": lambda: torch.randn(1, 6).expand(5, 6),
    "half empty": lambda: torch.randn(64, 20).relu(),
    "all zero": lambda: torch.zeros(5, 4),
    "one value": lambda: torch.tensor([[3.0]]),
    "squares overflow": lambda: torch.randn(100, 50) * 1e20,
    "squares underflow": lambda: torch.randn(100, 50) * 1e-30,
    "subnormal": lambda: torch.randn(10, 4) * 1e-39,
    "far from zero": lambda: torch.randn(1000, 300) + 1e4,
    "constant": lambda: torch.full((30, 30), 0.1),
    "float64": lambda: torch.randn(30, 20, dtype=torch.float64),
    "float16": lambda: torch.randn(30, 20).half(),
    "float16, small": lambda: (torch.randn(30, 20) * 2e-5).half(),
    "bfloat16": lambda: torch.randn(30, 20).bfloat16(),
    "float8": lambda: torch.randn(30, 20).to(torch.float8_e4m3fn),
}


@pytest.fixture(params=["host", "device"])
def scratch(request: pytest.FixtureRequest) -> Scratch:
    torch.manual_seed(0)
    return Scratch(torch.device("cpu"), host=request.param == "host")


def counts_of(x, scratch):
    """[1024] of a histogram."""
    found = st.bins_in_use(x, scratch)
    if not scratch.host:
        return np.asarray(found)
    counts = np.zeros(BINS, dtype=int)
    counts[found[0]] = found[1]
    return counts


@pytest.mark.parametrize("name", TENSORS)
def test_activation(name, scratch):
    x = TENSORS[name]()
    values, _ = st.dense(x)
    sums, units = empty_row(scratch), empty_units(scratch, x.shape[1])
    st.add_activation(sums, values, 1, scratch, units, (-0.97, 0.97))
    n = np.array([x.numel()])
    table = np.asarray(sums)[None]
    mean, std, rms = st.moments(table, n)
    expected = twin.activation_statistics(values)
    scale = max(expected["rms"], 1e-300)
    assert mean[0] == pytest.approx(expected["mean"], abs=2e-6 * scale)
    assert std[0] == pytest.approx(expected["std"], rel=2e-5, abs=2e-7 * scale)
    assert rms[0] == pytest.approx(expected["rms"], rel=2e-6)
    assert table[0, ABS_MAX] == pytest.approx(expected["abs_max"], rel=1e-6)
    assert st.share(table, ZEROS, n)[0] == expected["zero_fraction"]
    assert st.share(table, NONFINITE, n)[0] == 0
    a = np.moveaxis(twin.f64(values), 1, -1).reshape(-1, x.shape[1])
    assert st.share(table, SATURATED, n)[0] == pytest.approx((np.abs(a) >= np.float32(0.97)).mean(), abs=1e-9)
    assert units.observations == len(a)
    assert list(units.fired) == (a != 0).sum(0).tolist()
    np.testing.assert_allclose(np.asarray(units.magnitude), np.abs(a).sum(0), rtol=1e-4)


@pytest.mark.parametrize("name", TENSORS)
def test_values(name, scratch):
    x = TENSORS[name]()
    values, _ = st.dense(x)
    sums = empty_row(scratch)
    st.add_values(sums, values, scratch, subnormal=values.dtype)
    n = np.array([x.numel()])
    table = np.asarray(sums)[None]
    expected = twin.gradient_statistics(values)
    # Squares of values that are nearly all the same are rounded in the same direction.
    assert st.moments(table, n)[2][0] == pytest.approx(expected["rms"], rel=5e-5 if name == "far from zero" else 2e-6)
    assert table[0, ABS_MAX] == pytest.approx(expected["abs_max"], rel=1e-6)
    assert st.share(table, ZEROS, n)[0] == expected["zero_fraction"]
    assert st.share(table, SUBNORMAL, n)[0] == pytest.approx(expected["underflow_fraction"], abs=0.02)


def test_subnormal_share_of_a_small_tensor_is_exact(scratch):
    x = torch.tensor([0.0, 1e-6, 3e-5, 6e-5, 7e-5, 1.0]).half()
    sums = empty_row(scratch)
    st.add_values(sums, x, scratch, subnormal=x.dtype)
    assert float(sums[SUBNORMAL]) == 3


@pytest.mark.parametrize("bad", [[float("nan")], [float("inf"), -float("inf")], [float("nan"), float("inf")]])
def test_non_finite_is_counted_and_shows(bad, scratch):
    x = torch.randn(20, 3)
    x.view(-1)[: len(bad)] = torch.tensor(bad)
    sums, units = empty_row(scratch), empty_units(scratch, 3)
    st.add_activation(sums, x, 1, scratch, units, (None, None))
    assert float(sums[NONFINITE]) == len(bad)
    assert float(sums[ZEROS]) == 0
    mean, _, rms = st.moments(np.asarray(sums)[None], np.array([60]))
    assert not np.isfinite(mean[0]) and not np.isfinite(rms[0])
    assert list(units.fired) == [20, 20, 20]


def test_rows_add_up_over_calls(scratch):
    parts = [torch.randn(7, 5), torch.randn(9, 5) * 10 + 3]
    sums, units = empty_row(scratch), empty_units(scratch, 5)
    for part in parts:
        st.add_activation(sums, part, 1, scratch, units, (None, None))
    mean, std, rms = st.moments(np.asarray(sums)[None], np.array([80]))
    expected = twin.activation_statistics(torch.cat(parts))
    assert (mean[0], std[0], rms[0]) == pytest.approx((expected["mean"], expected["std"], expected["rms"]), rel=1e-5)
    assert units.observations == 16


def test_sparse_and_complex_values():
    coo = torch.sparse_coo_tensor(torch.tensor([[0, 2, 2]]), torch.tensor([1.0, 2.0, 3.0]), (5,), check_invariants=True)
    values, missing = st.dense(coo)
    assert sorted(values.tolist()) == [1.0, 5.0] and missing == 3  # duplicates are one element
    values, missing = st.dense(torch.tensor([3 + 4j]))
    assert values.tolist() == [[3.0, 4.0]] and missing == 0


@pytest.mark.parametrize(
    "x", [torch.zeros(0), torch.zeros(3, dtype=torch.int64), torch.zeros(3, device="meta"), torch.tensor([True])]
)
def test_unmeasurable(x):
    assert not st.measurable(x)


def test_histogram_of_a_small_tensor_is_exact(scratch):
    x = torch.cat([torch.randn(500) * 10.0 ** torch.randint(-5, 5, (500,)), torch.tensor([0.0, 3.0, 2.0, 1.5])])
    counts = counts_of(x, scratch)
    assert counts.sum() == len(x)
    found = {}
    for index in np.flatnonzero(counts):
        near = packing.bin_limits()[index, 0]
        mantissa, exponent = np.frexp(abs(near))
        key = (bool(index >= 512), int(exponent) if near else -999, bool(mantissa >= 0.75))
        found[key] = int(counts[index])
    assert found == twin.histogram(x)


def test_histogram_bins_of_special_values(scratch):
    special = torch.tensor([float("inf"), -float("inf"), float("nan"), -0.0, 1e-45])
    counts = counts_of(special, scratch)
    assert counts[510] == counts[1022] == counts[511] + counts[1023] == counts[512] == counts[0] == 1


@pytest.mark.parametrize("decades", [0, 6])
def test_histogram_sample_error_is_what_the_docstring_says(decades, scratch):
    x = torch.randn(400, 1000) * torch.logspace(-decades / 2, decades / 2, 1000)
    sampled = counts_of(x, scratch).astype(float)
    exact = np.bincount(packing.bin_of(x.numpy().ravel()), minlength=1024).astype(float)
    assert sampled.sum() <= HISTOGRAM_SAMPLE
    distance = 0.5 * np.abs(sampled / sampled.sum() - exact / exact.sum()).sum()
    assert distance < 1.2 * np.sqrt(np.count_nonzero(exact) / (2 * np.pi * HISTOGRAM_SAMPLE))


@pytest.mark.parametrize("shape", [(512, 512), (100, 64), (33, 4099), (7,), (1 << 20,), (5000,)])
def test_strided_sample(shape):
    x = torch.arange(float(np.prod(shape))).view(shape)
    sample = st.strided_sample(x, 4096, Scratch(x.device))
    assert min(x.numel(), 2048) <= sample.numel() <= 4096
    assert len(set(sample.tolist())) == sample.numel()
    if x.numel() > 4096:
        # Evenly spread: it reaches into the last tenth, and visits the columns alike.
        assert sample[-1] >= 0.5 * x.numel()


def test_finite_values_stay_finite_in_float32():
    out = st.to_float32(np.array([1e300, -1e300, np.inf, np.nan, 1.0]))
    assert out[:2].tolist() == [np.finfo(np.float32).max, -np.finfo(np.float32).max]
    assert np.isinf(out[2]) and np.isnan(out[3]) and out[4] == 1


@pytest.mark.parametrize("shape", [(2, 3), (5, 4), (64, 16, 8, 8), (3, 70_000, 5)])
def test_spread_over_examples(shape, scratch):
    """Against the variance over examples, of every unit and position, on the same pairs."""
    x = torch.randn(shape) * 3 + torch.randn(shape[1:]) * 100
    sums = empty_row(scratch)
    st.add_activation(sums, x, None, scratch, None, (None, None))
    half = shape[0] // 2
    spread = float(sums[SPREAD]) / float(sums[COMPARED])
    pairs = min(half, 4, max(1, st.COMPARISONS // x[0].numel()))
    exact = (x[:pairs] - x[half : half + pairs]).double().square().mean().item() / 2
    assert spread == pytest.approx(exact, rel=1e-4 if x[0].numel() <= st.COMPARISONS else 0.02)
    assert spread == pytest.approx(9, rel=12 / np.sqrt(float(sums[COMPARED])))


def test_an_output_that_does_not_depend_on_the_input_has_no_spread(scratch):
    sums = empty_row(scratch)
    st.add_activation(sums, torch.randn(1, 7).expand(10, 7), None, scratch, None, (None, None))
    assert float(sums[SPREAD]) == 0 and float(sums[COMPARED]) == 28
    st.add_activation(sums, torch.randn(7), None, scratch, None, (None, None))
    assert float(sums[COMPARED]) == 28
