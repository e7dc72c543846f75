"""Reads a scrape as Prometheus does."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.server.client import Api


class Scrape:
    """The samples of one scrape."""

    def __init__(self, text: str) -> None:
        self.families: dict[str, Metric] = {family.name: family for family in text_string_to_metric_families(text)}

    @classmethod
    def of(cls, api: Api) -> Scrape:
        return cls(api.get("/metrics").text)

    def by(self, name: str, *labels: str, **where: str) -> dict[tuple[str, ...], float]:
        """Return the sums of the samples called `name` that have the labels of `where`, by the values of `labels`."""
        sums: defaultdict[tuple[str, ...], float] = defaultdict(float)
        for sample in self._samples():
            if sample[0] == name and where.items() <= sample[1].items():
                sums[tuple(sample[1][label] for label in labels)] += sample[2]
        return dict(sums)

    def value(self, name: str, **where: str) -> float:
        """Return the sum of the samples called `name` that have the labels of `where`; 0 for none."""
        return self.by(name, **where).get((), 0.0)

    def labels(self, family: str) -> set[tuple[str, ...]]:
        """Return the names of the labels of each sample of a family, without the bounds of a histogram."""
        return {tuple(sorted(set(sample.labels) - {"le"})) for sample in self.families[family].samples}

    def bounds(self, family: str) -> set[str]:
        """Return the upper bounds of a histogram."""
        return {sample.labels["le"] for sample in self.families[family].samples if "le" in sample.labels}

    def _samples(self) -> Iterable[tuple[str, dict[str, str], float]]:
        for family in self.families.values():
            for sample in family.samples:
                yield sample.name, sample.labels, sample.value
