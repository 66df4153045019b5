from __future__ import annotations

import threading

import numpy as np

from torchvitals_tb.cache import Cache, size_of


def test_what_was_used_last_is_kept() -> None:
    cache = Cache(3 * size_of(b"x" * 100))
    made: list[str] = []

    def get(name: str) -> bytes:
        def make() -> bytes:
            made.append(name)
            return name.encode() * 100

        found: bytes = cache.get(name, make)
        assert found == name.encode() * 100
        return found

    for name in "abcabc":
        get(name)
    assert made == ["a", "b", "c"]
    get("a")
    get("d")  # b was used longest ago
    made.clear()
    for name in "acd":
        get(name)
    assert made == []
    get("b")
    assert made == ["b"]


def test_what_is_too_large_is_not_kept() -> None:
    cache = Cache(1000)
    cache.get("small", lambda: b"x")
    assert cache.get("large", lambda: b"x" * 2000) == b"x" * 2000
    assert cache.get("large", lambda: b"again") == b"again"
    assert cache.get("small", lambda: b"y") == b"x"


def test_a_failure_is_not_kept() -> None:
    cache = Cache(1000)
    for _ in range(2):
        try:
            cache.get("a", lambda: 1 / 0)
        except ZeroDivisionError:
            continue
        raise AssertionError
    assert cache.get("a", lambda: 1) == 1


def test_size() -> None:
    array = np.zeros((10, 10), dtype=np.float32)
    assert 400 <= size_of(array) < 600
    assert size_of([array, (array, array)]) >= 1200
    assert size_of(np.array([b"x" * 5000], dtype=object)) > 5000
    assert size_of(None) < 200


def test_threads() -> None:
    cache = Cache(10 * size_of(1))
    wrong: list[int] = []

    def work() -> None:
        for i in range(2000):
            if cache.get(i % 30, lambda i=i: i % 30) != i % 30:
                wrong.append(i)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(cache._entries) <= 10
    assert cache._bytes == sum(size for _, size in cache._entries.values())
