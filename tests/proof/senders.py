"""Clients that send batches over HTTP and don't give up: what got no answer is sent again, under the same ids."""

from __future__ import annotations

import http.client
import json
import random
import threading
from collections import Counter, defaultdict
from typing import Any

from tests.proof import sent

BATCH = 60


class Sender(threading.Thread):
    """One client with events of its own. `told` is what it was told of each event: (status, id), how often."""

    def __init__(self, port: int, token: str, *, prefix: str, seed: int, ending: threading.Event) -> None:
        super().__init__(daemon=True)
        self.sent: list[sent.Json] = []
        self.told: defaultdict[str, Counter[tuple[str, str]]] = defaultdict(Counter)
        self.statuses: Counter[int | str] = Counter()
        self._port, self._token, self._prefix = port, token, prefix
        self._chance, self._ending = random.Random(seed), ending

    def run(self) -> None:
        while not self._ending.is_set():
            fresh = sent.events(BATCH, prefix=self._prefix, first=len(self.sent))
            self.sent += fresh
            repeated = self._chance.sample(self.sent, 5)  # some that are stored already, and some of this batch
            self._until_answered([*fresh, *repeated])

    def _until_answered(self, batch: list[sent.Json]) -> None:
        while (answer := self._post(batch)) is None:
            self._chance.shuffle(batch)
            self._ending.wait(0.05)
        for line in answer["results"]:
            self.told[line["event_id"]][line["status"], line["id"]] += 1

    def _post(self, batch: list[sent.Json]) -> dict[str, Any] | None:
        """The answer to a batch of which nothing was refused; None when there was no such answer."""
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
