"""What the API counts for Prometheus."""

import math

import prometheus_client
from prometheus_client import core, registry

from serving import drift, gate, predictor, waiting

CONTENT_TYPE = prometheus_client.CONTENT_TYPE_LATEST

# Two lines instead of four a counter.
prometheus_client.disable_created_metrics()

_SECONDS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)


class Monitor:
    """Counts requests and answers; each application has its own.

    Attributes:
        registry: What is scraped.
    """

    def __init__(self, predicting: predictor.Predictor, line: waiting.Line):
        """Starts at 0.

        Args:
            predicting: The model that answers.
            line: Its queue.
        """
        card = predicting.card
        self.registry = registry.CollectorRegistry()
        prometheus_client.ProcessCollector(registry=self.registry)
        prometheus_client.Info(
            "retinograd_model", "The model that answers", registry=self.registry
        ).info(
            {
                "name": card.name,
                "task": card.task["name"],
                "variant": predicting.variant,
                "precision": predicting.precision,
                "sha256": card.fingerprints["model_sha256"],
            }
        )
        self._requests = prometheus_client.Counter(
            "retinograd_requests",
            "Answered requests",
            ("endpoint", "status"),
            registry=self.registry,
        )
        self._seconds = prometheus_client.Histogram(
            "retinograd_request_seconds",
            "From a request's head to its answer, the upload included",
            ("endpoint",),
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._decisions = prometheus_client.Counter(
            "retinograd_decisions",
            "Photographs with a decision",
            ("diseased",),
            registry=self.registry,
        )
        self._abstentions = prometheus_client.Counter(
            "retinograd_abstentions",
            "Photographs of which nothing was said",
            ("reason",),
            registry=self.registry,
        )
        self._scores = prometheus_client.Histogram(
            "retinograd_disease_probability",
            "Calibrated probability of disease",
            buckets=card.scores["edges"][1:],
            registry=self.registry,
        )
        for diseased in ("true", "false"):
            self._decisions.labels(diseased)
        for reason in gate.REASONS:
            self._abstentions.labels(reason)
        self._drift = drift.Drift(card.scores["edges"], card.scores["counts"])
        self._line = line
        self.registry.register(self)

    def request(self, endpoint: str, status: int, seconds: float) -> None:
        """Counts an answered request."""
        self._requests.labels(endpoint, str(status)).inc()
        self._seconds.labels(endpoint).observe(seconds)

    def answer(self, said: predictor.Prediction | predictor.Abstention) -> None:
        """Counts what was said of a photograph."""
        if isinstance(said, predictor.Abstention):
            self._abstentions.labels(said.reason).inc()
            return
        self._decisions.labels(str(said.diseased).lower()).inc()
        self._scores.observe(said.disease_probability)
        self._drift.add(said.disease_probability)

    def collect(self):
        """What is measured when Prometheus asks, not counted before."""
        for name, words, value in (
            ("photographs_waiting", "Photographs in the queue", self._line.waiting),
            ("photographs_pending", "These, and those worked on", self._line.pending),
            (
                "score_drift",
                "Population stability index of the last scores, against validation",
                self._drift.index,
            ),
            (
                "score_drift_limit",
                "What that index exceeds in 5 % of cases without any drift",
                self._drift.limit,
            ),
            ("score_drift_photographs", "How many scores that is", self._drift.late),
        ):
            if not math.isnan(value):
                yield core.GaugeMetricFamily(f"retinograd_{name}", words, value)

    def exposition(self) -> bytes:
        """The text that Prometheus reads."""
        return prometheus_client.generate_latest(self.registry)
