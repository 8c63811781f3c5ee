"""What extraction workers report of their stages, as Prometheus families."""

from collections.abc import Iterator, Sequence
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from app.models import Worker

_OF_STAGE = (
    (CounterMetricFamily, "penumbra_stage_seconds", "Seconds of work, summed over the stage's threads", "seconds"),
    (CounterMetricFamily, "penumbra_stage_items", "Scans (forward: inputs of the network) done", "items"),
    (GaugeMetricFamily, "penumbra_stage_queue_length", "Scans (store: batches) that wait before the stage", "queue"),
)
_OF_WORKER = (
    (GaugeMetricFamily, "penumbra_engine_idle_ratio", "Share of the last heartbeat in which the engine stood still",
     "engine", "idle_ratio"),
    (CounterMetricFamily, "penumbra_engine_starved_seconds", "Seconds the engine waited with scans in hand",
     "engine", "starved_seconds"),
    (GaugeMetricFamily, "penumbra_scans_in_hand", "Scans claimed and not yet recorded", "in_hand", "scans"),
    (GaugeMetricFamily, "penumbra_pixel_bytes_in_hand", "Bytes of prepared pixels", "in_hand", "pixel_bytes"),
)  # fmt: skip


class WorkerFigures:
    """Figures of the workers that are alive, as of their last heartbeats."""

    def __init__(self, workers: Sequence[Worker]) -> None:
        self._told = {f"{worker.host}:{worker.pid}": worker.stages for worker in workers if worker.stages}

    def collect(self) -> Iterator[Any]:
        for family, name, says, word in _OF_STAGE:
            metric = family(name, says, labels=("worker", "stage"))
            for worker, told in self._told.items():
                for stage, figures in told.get("stages", {}).items():
                    metric.add_metric((worker, stage), figures[word])
            yield metric
        for family, name, says, group, word in _OF_WORKER:
            metric = family(name, says, labels=("worker",))
            for worker, told in self._told.items():
                if word in told.get(group, {}):
                    metric.add_metric((worker,), told[group][word])
            yield metric
