"""HTTP clients that send batches of events and retry each batch, with the same ids, until it is answered."""

from __future__ import annotations

import http.client
import json
import random
import threading
from collections import Counter, defaultdict
from typing import Any

from tests.proof import workload

BATCH_EVENTS = 60


class Sender(threading.Thread):
    """One client with its own events. `results` counts the answers: event id -> (status, id) -> how often."""

    def __init__(self, port: int, token: str, *, prefix: str, seed: int, stopping: threading.Event) -> None:
        super().__init__(daemon=True)
        self.sent: list[workload.Json] = []
        self.results: defaultdict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
        self.statuses: Counter[int | str] = Counter()
        self._port, self._token, self._prefix = port, token, prefix
        self._rng, self._stopping = random.Random(seed), stopping

    def run(self) -> None:
        while not self._stopping.is_set():
            fresh = workload.events(BATCH_EVENTS, prefix=self._prefix, first=len(self.sent))
            self.sent += fresh
            repeated = self._rng.sample(self.sent, 5)  # from earlier batches or from this one
            self._send_until_answered([*fresh, *repeated])

    def _send_until_answered(self, batch: list[workload.Json]) -> None:
        while (answer := self._post(batch)) is None:
            self._rng.shuffle(batch)
            self._stopping.wait(0.05)
        for line in answer["results"]:
            self.results[line["event_id"]][line["status"], line["id"]] += 1

    def _post(self, batch: list[workload.Json]) -> dict[str, Any] | None:
        """The body of an answer with status 200; None if there was no such answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        try:
            connection.request("POST", "/api/v1/usage/", json.dumps({"events": batch}), headers)
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.statuses[type(error).__name__] += 1
            return None
        finally:
            connection.close()
        self.statuses[answer.status] += 1
        return json.loads(body) if answer.status == 200 else None
