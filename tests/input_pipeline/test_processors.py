import os

from input_pipeline import processors


def test_processors_are_those_that_the_process_is_bound_to(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda of: {1, 3, 5}, raising=False)
    assert processors.count() == 3


def test_where_the_system_does_not_say_it_is_the_machine(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert processors.count() == 6
