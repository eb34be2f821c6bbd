"""31 callers with fixed seeds who do nothing wrong. What they receive is recorded once while nothing else runs; then they
ask the same again and again beside the corpus, and every event must be what it was."""

import json
import threading
import time

from doors import GOOD, Connection, head_of, merged

NUM_STREAMS = 31
QUESTIONS = ("What is {a} + {b}?", "Calculate {a} × {b}.", "小明有 {a} 个苹果，送给小红 {b} 个，还剩多少个苹果？", "Tell me about {a} and {b}.")


def _body(index: int) -> bytes:
    question = QUESTIONS[index % len(QUESTIONS)].format(a=101 + 7 * index, b=13 + index)
    change = dict(messages=[dict(role="user", content=question)], seed=1000 + index, temperature=0 if index % 3 == 0 else 0.9,
                  max_tokens=24 + index, stream=True, stream_options=dict(include_usage=True), ignore_eos=True)
    if index % 5 == 1:
        change |= dict(presence_penalty=0.5, logit_bias={"40": 3})
    return json.dumps(merged(GOOD["chat"], change)).encode()


def _received(port: int, index: int) -> list[str]:
    """The events without what names the request: its id, its time, and how much of its prompt was found in the cache."""
    body = _body(index)
    with Connection(port, timeout_s=300) as connection:
        connection.send(head_of("POST", "/v1/chat/completions", len(body), {"Connection": "close"}) + body)
        answer = connection.answer()
    assert answer.status == 200, f"bystander {index}: {answer.status} {answer.body[:300]!r}"
    texts: dict[str, str] = {"reasoning_content": "", "content": ""}
    ends = []
    for event in answer.events():
        for choice in event["choices"]:
            for kind in texts:
                texts[kind] += choice["delta"].get(kind) or ""
            if choice["finish_reason"]:
                ends.append(choice["finish_reason"])
        if event.get("usage"):
            ends.append(f"{event['usage']['prompt_tokens']} + {event['usage']['completion_tokens']}")
    return [texts["reasoning_content"], texts["content"], *ends]


class Bystanders:
    def __init__(self, port: int):
        self._port = port
        self._golden = [_received(port, index) for index in range(NUM_STREAMS)]  # one after the other: undisturbed
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._changed: list[str] = []
        self._streams = 0
        self._threads: list[threading.Thread] = []

    def _run(self, index: int) -> None:
        while not self._stopping.is_set():
            try:
                received = _received(self._port, index)
            except (AssertionError, OSError, ValueError) as failure:
                received = [f"failed: {failure}"]
            with self._lock:
                self._streams += 1
                if received != self._golden[index]:
                    self._changed.append(f"stream {index}: {received}, undisturbed {self._golden[index]}")
            if received[0].startswith("failed"):
                time.sleep(0.2)

    def start(self) -> None:
        self._stopping.clear()
        self._threads = [threading.Thread(target=self._run, args=(index,), daemon=True) for index in range(NUM_STREAMS)]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join(300)
            assert not thread.is_alive(), "a bystander's stream does not end"

    def take(self) -> tuple[int, list[str]]:
        """How many streams have ended since the last call, and what of theirs was not as undisturbed."""
        with self._lock:
            taken = self._streams, self._changed
            self._streams, self._changed = 0, []
        return taken
