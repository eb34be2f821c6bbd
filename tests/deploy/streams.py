"""Callers that stream without a pause, each request on a connection of its own, as a Service spreads them."""

import http.client
import json
import threading


class Streams:
    """`addresses()`: the gateways that a new connection may go to, as the proxies of the nodes know them now."""

    def __init__(self, addresses, count: int, model: str, max_tokens: int, headers: dict | None = None):
        self.errors: list[str] = []
        self.done = 0
        self._addresses, self._model, self._max_tokens, self._headers = addresses, model, max_tokens, headers or {}
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, args=(index,), daemon=True) for index in range(count)]
        for thread in self._threads:
            thread.start()

    def begin_no_more(self) -> None:
        self._stopping.set()

    def stop(self) -> None:
        self.begin_no_more()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive(), "a stream has not ended"

    def _run(self, index: int) -> None:
        turn = index
        while not self._stopping.is_set():
            addresses = self._addresses()
            turn += 1
            try:
                self._stream(*addresses[turn % len(addresses)], f"Compute {index} + {turn}.")
                with self._lock:
                    self.done += 1
            except Exception as error:  # counted; the test prints them
                with self._lock:
                    self.errors.append(repr(error))

    def _stream(self, host: str, port: int, question: str) -> None:
        body = dict(model=self._model, stream=True, max_tokens=self._max_tokens, ignore_eos=True, temperature=0,
                    messages=[dict(role="user", content=question)], stream_options=dict(include_usage=True))
        connection = http.client.HTTPConnection(host, port, timeout=60)
        try:
            connection.request("POST", "/v1/chat/completions", json.dumps(body),
                               {"Content-Type": "application/json"} | self._headers)
            response = connection.getresponse()
            text = response.read().decode()
        finally:
            connection.close()
        assert response.status == 200, text
        events = [line[6:] for line in text.splitlines() if line.startswith("data: ")]
        assert events and events[-1] == "[DONE]", text[-300:]
        chunks = [json.loads(event) for event in events[:-1]]
        reasons = [choice["finish_reason"] for chunk in chunks for choice in chunk["choices"] if choice["finish_reason"]]
        assert reasons == ["length"], reasons
        assert chunks[-1]["usage"]["completion_tokens"] == self._max_tokens, chunks[-1]
