"""What happens to a sampled step after it was measured: in a thread of its own, in order, whole, few bytes."""

from __future__ import annotations

import functools
import gc
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.tensorboard import SummaryWriter

from torchvitals import attach, attach_hooks, checksum, emit, process
from torchvitals.line import MOST, Line
from torchvitals_tb import load_run


def train(model, steps, width=8, batch=16):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.randn(batch, width)).square().mean().backward()
        optimizer.step()


def in_time(call):
    """Whether it ends: what is tested would wait for ever."""
    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(20)
    return not thread.is_alive()


# A line of jobs -----------------------------------------------------------------------------------------------------


def test_jobs_are_done_in_order_elsewhere_and_the_queue_is_bounded():
    line, gate, done, waited = Line("test"), threading.Event(), [], []

    def job(i):
        gate.wait()
        done.append((i, threading.get_ident()))

    def bring():
        for i in range(3 * MOST):
            line.put(lambda i=i: job(i))
            waited.append(i)

    bringer = threading.Thread(target=bring)
    bringer.start()
    bringer.join(0.3)
    assert bringer.is_alive() and len(waited) <= MOST + 1  # one is being worked on
    gate.set()
    bringer.join()
    line.wait()
    assert [i for i, _ in done] == list(range(3 * MOST))
    assert {thread for _, thread in done}.isdisjoint({threading.get_ident(), bringer.ident})
    line.end()
    line.put(lambda: done.clear())  # another thread is started
    line.wait()
    assert not done
    line.end()


def test_a_job_may_bring_others_and_wait_for_none():
    line, done = Line("test"), []

    def job():
        for i in range(2 * MOST):
            line.put(lambda i=i: done.append(i))
        line.wait()
        assert line.is_here() and not done
        line.end()

    line.put(job)
    line.end()
    assert done == list(range(2 * MOST))


def test_a_job_that_raises_is_told_of_and_the_next_is_done(caplog):
    line, done = Line("test"), []
    with caplog.at_level("ERROR", "torchvitals"):
        line.put(lambda: 1 / 0)
        line.put(lambda: done.append(1))
        line.end()
    assert done == [1] and "division by zero" in caplog.text


def test_the_end_of_a_line_inside_another_of_its_calls():
    """As where a finalizer comes in the middle of it, in the same thread."""
    line, done = Line("test"), []

    def inside():
        line.put(lambda: done.append(1))
        with line._changed:
            line.end()
        done.append(2)

    assert in_time(inside) and done == [1, 2]


def test_a_job_without_waiting_where_as_many_wait_as_may():
    line, gate, done = Line("test"), threading.Event(), []
    line.put(gate.wait)
    for i in range(MOST + 1):
        line.put(lambda i=i: done.append(i), waits=False)
    assert not done
    gate.set()
    line.end()
    assert done == list(range(MOST + 1))


# A run --------------------------------------------------------------------------------------------------------------


def test_the_training_thread_writes_nothing(tmp_path, monkeypatch):
    threads = set()
    real = emit.Emitter.write

    def write(*args):
        threads.add(threading.current_thread())
        real(*args)

    monkeypatch.setattr(emit.Emitter, "write", write)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 4), nn.ReLU())
    with attach_hooks(model, tmp_path, every=1, on_error="raise"):
        train(model, 6)
    assert len(threads) == 1 and threading.main_thread() not in threads
    assert not any(thread.is_alive() for thread in threads)
    assert load_run(tmp_path).steps.tolist() == list(range(6))


@pytest.mark.parametrize(("kind", "method"), [("torch", "flush"), ("torch", "close"), ("tensorboardX", "close")])
def test_a_flush_or_close_of_the_users_writer_has_all_steps(kind, method, tmp_path, monkeypatch):
    if kind == "tensorboardX":
        from tensorboardX import SummaryWriter as Writer
    else:
        Writer = SummaryWriter
    slow = threading.Event()
    real = emit.Emitter.write
    monkeypatch.setattr(emit.Emitter, "write", lambda *args: (slow.wait(0.1), real(*args)))
    writer = Writer(str(tmp_path))
    model = nn.Linear(8, 4)
    vitals = attach_hooks(model, writer, every=1, on_error="raise")
    train(model, 4)
    getattr(writer, method)()
    assert load_run(tmp_path).steps.tolist() == [0, 1, 2, 3]
    vitals._on_error = "warn"
    vitals.remove()
    assert not {"flush", "close"} & set(vars(writer))
    writer.close()


def test_a_flush_waits_for_the_thread_of_tensorboardx(tmp_path):
    """Its own ``flush`` does not: what is still in its queue is not in the file then."""
    from tensorboardX import SummaryWriter as Writer

    writer = Writer(str(tmp_path))
    records = writer._get_file_writer().event_writer._ev_writer
    real, slow = records.write_event, threading.Event()
    records.write_event = lambda event: (slow.wait(0.05), real(event))
    model = nn.Linear(8, 4)
    with attach_hooks(model, writer, every=1, on_error="raise") as vitals:
        train(model, 4)
        vitals.flush()
        assert load_run(tmp_path).steps.tolist() == [0, 1, 2, 3]
        vitals.flush()
    writer.close()


def test_a_flush_does_not_wait_for_ever_for_tensorboardx(tmp_path, monkeypatch):
    from tensorboardX import SummaryWriter as Writer

    monkeypatch.setattr(emit, "_PATIENCE", 0.05)
    writer = Writer(str(tmp_path))
    events = writer._get_file_writer().event_writer
    events._ev_writer.write_event = lambda event: None
    model = nn.Linear(8, 4)
    vitals = attach_hooks(model, writer, every=1, on_error="raise")
    train(model, 2)
    vitals.flush()
    train(model, 2)
    vitals.remove()
    assert vitals._recorder._emitter._patience == 0
    writer.close()


def test_what_fails_in_writing_is_raised_in_the_training(tmp_path, monkeypatch):
    def write(*args):
        raise OSError("disk full")

    monkeypatch.setattr(emit.Emitter, "write", write)
    model = nn.Linear(8, 4)
    with pytest.raises(OSError, match="disk full"), attach_hooks(model, tmp_path, every=1, on_error="raise") as vitals:
        train(model, 1)
        vitals.flush()


@pytest.mark.parametrize("shape", [(), (1,)])
def test_a_changing_learning_rate_is_recorded_as_it_was(shape, tmp_path, monkeypatch):
    """The numbers of the training may change before the other thread looks at them."""
    model = nn.Linear(8, 4)
    rate = torch.full(shape, 0.5)
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    real = emit.Emitter.write
    monkeypatch.setattr(emit.Emitter, "write", lambda *args: (threading.Event().wait(0.05), real(*args)))
    with attach_hooks(model, tmp_path, every=1, on_error="raise"):
        for _ in range(4):
            model(torch.randn(16, 8)).square().mean().backward()
            optimizer.step()
            rate.mul_(0.5)
    assert load_run(tmp_path)["parameter/learning_rate"].values[:, 0].tolist() == [0.5, 0.25, 0.125, 0.0625]


def model_in_a_cycle(writer, **options):
    """Recorded for a step, and left to the collector."""
    model = nn.Linear(8, 4)
    model.itself = [model]
    recorder = attach_hooks(model, writer, every=1, **options)._recorder
    train(model, 1)
    return recorder


@pytest.fixture
def no_collection():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def test_a_model_collected_in_the_thread_of_the_users_writer(tmp_path, no_collection):
    writer = SummaryWriter(str(tmp_path))
    recorder = model_in_a_cycle(writer)
    recorder.wait()
    writer.flush()
    records, collected = writer._get_file_writer().event_writer._async_writer._writer, []
    write = records.write

    def collects(data):
        if not collected:
            collected.append(threading.current_thread())
            gc.collect()
            assert not process.monitors
        write(data)

    records.write = collects
    writer.add_scalar("mine", 1.0)
    assert in_time(writer.close)
    assert collected[0] is not threading.main_thread()
    assert load_run(tmp_path).steps.tolist() == [0]


@pytest.mark.parametrize("owned", [True, False])
def test_a_model_collected_in_the_middle_of_a_step_has_it_written(owned, tmp_path, no_collection):
    """In the recorder's own thread."""
    writer = tmp_path if owned else SummaryWriter(str(tmp_path))
    model = nn.Sequential(nn.Linear(8, 4), nn.Linear(4, 2))
    model.itself = [model]
    optimizers = [torch.optim.SGD(layer.parameters(), lr=0.01) for layer in model]
    recorder = attach_hooks(model, writer, every=1)._recorder
    for some in (optimizers, optimizers[:1]):  # the second step has begun, and not ended
        model(torch.randn(4, 8)).mean().backward()
        for optimizer in some:
            optimizer.step()
    del model
    recorder.later(gc.collect)
    assert in_time(recorder.wait)
    assert not process.monitors and load_run(tmp_path).steps.tolist() == [0, 1]


def test_what_a_collected_model_leaves_is_written_before_the_process_ends(tmp_path):
    script = f"""
import gc, time, torch
from torchvitals import attach_hooks, emit
real = emit.Emitter.write
emit.Emitter.write = lambda *args: (time.sleep(0.5), real(*args))
model = torch.nn.Linear(2, 2)
optimizer = torch.optim.SGD(model.parameters(), lr=.1)
attach_hooks(model, {str(tmp_path)!r}, every=1)
model(torch.randn(2, 2)).mean().backward(); optimizer.step()
del model, optimizer
gc.collect()
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)
    assert load_run(tmp_path).steps.tolist() == [0]


def test_two_collected_models_with_one_writer(tmp_path, no_collection):
    writer = SummaryWriter(str(tmp_path))
    recorders = [model_in_a_cycle(writer) for _ in range(2)]
    for recorder in recorders:
        recorder.wait()
    gc.collect()
    assert in_time(lambda: [recorder.wait() for recorder in recorders])
    assert not {"flush", "close"} & set(vars(writer))
    writer.close()


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("own", [True, False])
def test_the_users_methods_with_two_models_on_one_writer(order, own, tmp_path):
    class Writer(SummaryWriter):
        flushed = 0

        def flush(self):
            self.flushed += 1
            super().flush()

    writer = Writer(str(tmp_path))
    if own:
        writer.flush = mine = functools.partial(Writer.flush, writer)
    records = writer._get_file_writer().event_writer._async_writer._writer
    models = [nn.Linear(8, 4), nn.Linear(8, 4)]
    handles = [attach_hooks(model, writer, every=1) for model in models]
    waited = []
    for i, handle in enumerate(handles):
        handle._recorder._line.wait = lambda i=i: waited.append(i)
    writer.flush()
    assert sorted(waited) == [0, 1]
    handles[order[0]].remove()
    assert "write" in vars(records)
    waited.clear()
    writer.flush()
    assert waited == [order[1]] and writer.flushed >= 2
    handles[order[1]].remove()
    assert "write" not in vars(records) and "close" not in vars(writer)
    assert vars(writer).get("flush") is (mine if own else None)
    writer.close()


def test_attaching_again_keeps_the_fast_checksum(tmp_path):
    writer, model = SummaryWriter(str(tmp_path)), nn.Linear(8, 4)
    records = writer._get_file_writer().event_writer._async_writer._writer
    attach_hooks(model, writer)
    with attach_hooks(model, writer):
        assert "write" in vars(records) and isinstance(writer.flush, emit._First)
    assert "write" not in vars(records)
    records.write = mine = lambda data: type(records).write(records, data)
    with attach_hooks(model, writer):
        pass
    assert records.write is mine
    writer.close()


def test_an_attachment_that_fails_leaves_the_writer_as_it_was(tmp_path, monkeypatch):
    def fails(*_):
        raise ArithmeticError("broken here")

    writer, model = SummaryWriter(str(tmp_path)), nn.Linear(8, 4)
    records = writer._get_file_writer().event_writer._async_writer._writer
    monkeypatch.setattr(attach.Vitals, "_look_up", fails)
    with pytest.raises(ArithmeticError, match="broken here"):
        attach_hooks(model, writer, on_error="raise")
    assert "write" not in vars(records) and not {"flush", "close"} & set(vars(writer)) and not process.monitors
    opened = []
    monkeypatch.setattr(emit, "_open", lambda path: opened.append(SummaryWriter(str(path))) or opened[0])
    with pytest.raises(ArithmeticError, match="broken here"):
        attach_hooks(model, tmp_path / "own", on_error="raise")
    assert opened[0].all_writers is None and not process.monitors
    writer.close()


# The checksum -------------------------------------------------------------------------------------------------------


def test_checksum_against_tensorboards():
    from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import crc32c, masked_crc32c

    random = np.random.default_rng(0)
    for n in (0, 1, 3, 4, 8, 63, 64, 65, 511, 512, 513, 1023, 1024, 1537, 5000, 40_000):
        data = random.bytes(n)
        assert checksum.crc32c(data) == crc32c(data), n
        assert checksum.masked(data) == masked_crc32c(data), n
    assert checksum.crc32c(b"123456789") == 0xE3069283


def test_files_are_the_same_to_the_last_byte(tmp_path):
    written = []
    for name in ("fast", "plain"):
        writer = SummaryWriter(str(tmp_path / name))
        records = writer._get_file_writer().event_writer._async_writer._writer
        back = checksum.speed_up(writer) if name == "fast" else lambda: None
        assert ("write" in vars(records)) == (name == "fast")
        for step in range(3):
            writer.add_text("words", "x" * 1000 * step, step, walltime=step)
        writer.close()
        back()
        assert "write" not in vars(records)
        data = next((tmp_path / name).iterdir()).read_bytes()
        written.append(data[data.index(b"tensorboard.summary.writer") + 60 :])
    assert written[0] == written[1] and len(written[0]) > 3000


@pytest.mark.parametrize(
    ("name", "source", "taken"),
    [
        ("crc32c", "def crc32c(data, table): return 0", False),
        ("crc32c", "raise ValueError('a script')", False),
        ("google_crc32c", "implementation = 'python'\ndef value(data): return 0xE3069283", False),
        ("google_crc32c", "implementation = 'c'\ndef value(data): return 0xE3069283", True),
    ],
)
def test_the_checksum_is_chosen_with_care(name, source, taken, tmp_path, monkeypatch):
    (tmp_path / f"{name}.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    for module in ("crc32c", "google_crc32c"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    checksum._function.cache_clear()
    try:
        assert (getattr(checksum._function(), "__module__", None) == name) == taken
    finally:
        checksum._function.cache_clear()
        sys.modules.pop(name, None)


def test_an_unknown_writer_is_left_alone():
    class Writer:
        def _get_file_writer(self):
            return self

        def __getattr__(self, name):
            return self

    writer = Writer()
    checksum.speed_up(writer)()
    assert not vars(writer)
    checksum.speed_up(object())()


# Bytes --------------------------------------------------------------------------------------------------------------


def bytes_per_step(path, monkeypatch, **options):
    """Of the steps after the first, which brings the manifest."""
    torch.manual_seed(0)
    model = nn.Sequential(*(m for _ in range(20) for m in (nn.Linear(256, 256), nn.ReLU())))
    monkeypatch.setattr(attach, "records", lambda sample: True)
    sizes = []
    with attach_hooks(model, path, every=1, mirror=False, on_error="raise", **options) as vitals:
        for _ in range(3):
            train(model, 1, 256, 64)
            vitals.flush()
            sizes.append(vitals._recorder.size())
    return (sizes[2] - sizes[0]) / 2


def test_bytes_of_a_sampled_step(tmp_path, monkeypatch):
    plain = bytes_per_step(tmp_path / "a", monkeypatch, histograms=False, units=False)
    histograms = bytes_per_step(tmp_path / "b", monkeypatch, histograms=True, units=False) - plain
    units = bytes_per_step(tmp_path / "c", monkeypatch, histograms=False, units=True) - plain
    assert plain / 40 <= 160
    assert histograms / (4 * 40) <= 200
    assert units / (40 * 256) <= 0.5


# How much is asked of PyTorch ----------------------------------------------------------------------------------------


def test_operations_grow_with_layers_and_no_faster(tmp_path):
    from tests.torchvitals.test_cost import Operations

    def operations(layers, attached):
        model = nn.Sequential(*(m for _ in range(layers) for m in (nn.Linear(8, 8), nn.ReLU())))
        vitals = attach_hooks(model, tmp_path / str(layers), every=1, on_error="raise") if attached else None
        train(model, 1)
        with Operations() as counted:
            train(model, 1)
        if vitals:
            vitals.remove()
        return len(counted.names)

    few, more, most = (operations(n, True) - operations(n, False) for n in (20, 40, 60))
    assert most - more == more - few
    assert (most - few) / 40 <= 12  # a linear layer with its activation: views of its tensors
