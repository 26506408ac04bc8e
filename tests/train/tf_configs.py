"""Clusters, as the variable `TF_CONFIG` names them."""

import json

TWO = {"worker": ["a:1", "b:2"]}


def named(monkeypatch, content):
    text = content if isinstance(content, str) else json.dumps(content)
    monkeypatch.setenv("TF_CONFIG", text)


def of(jobs, job="worker", index=0):
    return {"cluster": jobs, "task": {"type": job, "index": index}}
