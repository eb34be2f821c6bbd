"""A program at a terminal of its own: types at it, presses keys, waits for what it shows."""

import os
import pathlib
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import fcntl
import time

SECONDS = 60  # a sanitizer build on a busy machine
_ESCAPES = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]|\x1b[=>]|\r")


class Terminal:
    def __init__(self, binary: pathlib.Path, *flags: str, environment: dict[str, str] | None = None, columns: int = 100,
                 rows: int = 30):
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        clean = {name: value for name, value in os.environ.items() if name != "NO_COLOR" and not name.startswith("SWIFTLET_")}
        self.process = subprocess.Popen([str(binary), *flags], stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
                                        env=clean | {"TERM": "xterm-256color"} | (environment or {}))
        os.close(slave)
        self.raw = b""
        self._seen = 0  # of the plain text, what an earlier wait was satisfied by

    def plain(self) -> str:
        return _ESCAPES.sub(b"", self.raw).decode(errors="replace")

    def _read(self, seconds: float) -> bool:
        if not select.select([self._master], [], [], seconds)[0]:
            return True
        try:
            data = os.read(self._master, 65536)
        except OSError:  # the program has closed its side
            return False
        self.raw += data
        return bool(data)

    def wait_for(self, text: str) -> str:
        """What was shown since the last wait, up to and with `text`."""
        deadline = time.monotonic() + SECONDS
        while (found := self.plain().find(text, self._seen)) < 0:
            assert time.monotonic() < deadline and self._read(0.1), f"no {text!r} among:\n{self.plain()}"
        end = found + len(text)
        shown, self._seen = self.plain()[self._seen:end], end
        return shown

    def type(self, text: str) -> None:
        """A byte that is no UTF-8 is typed as its surrogate."""
        os.write(self._master, text.encode(errors="surrogateescape"))

    def line(self, text: str) -> None:
        self.type(text + "\r")

    def interrupt(self) -> None:
        self.type("\x03")

    def end_of_input(self) -> None:
        self.type("\x04")

    def wait(self) -> int:
        deadline = time.monotonic() + SECONDS
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"still runs; it showed:\n{self.plain()}"
            self._read(0.05)
        while self._read(0) and select.select([self._master], [], [], 0)[0]:
            pass
        return self.process.returncode

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        os.close(self._master)
