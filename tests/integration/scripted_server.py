"""An HTTP server that answers as its test says, each connection on a thread of its own."""

import http.server
import json
import ssl
import threading
import time


class ScriptedServer(http.server.ThreadingHTTPServer):
    """`handler` is a Handler; what it needs to know are attributes of the server that the test changes."""

    daemon_threads = True

    def __init__(self, handler: type["Handler"], tls: ssl.SSLContext | None = None):
        super().__init__(("127.0.0.1", 0), handler)
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_side=True)
        self.bodies: list[dict] = []  # of the POSTs so far
        self.status = 200
        self.hold = False  # streams stay open
        self.hung_up = threading.Event()
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self) -> None:
        self.hold = False
        self.shutdown()
        self.server_close()


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def answer(self, body: bytes, kind: str = "application/json", status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def take_body(self) -> dict:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.bodies.append(body)
        return body

    def begin_stream(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()

    def event(self, value: dict) -> None:
        self.wfile.write(b"data: " + json.dumps(value).encode() + b"\n\n")

    def hold_stream(self) -> bool:
        """Until the test lets go of it; False: the caller hung up before."""
        try:
            while self.server.hold:
                self.wfile.write(b": ping\n\n")
                time.sleep(0.02)
        except OSError:
            self.server.hung_up.set()
            return False
        return True
