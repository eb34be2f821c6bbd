"""The page that --playground serves, in a real Chromium: what a person does with it, and what a model cannot do to it."""

import re
import urllib.request

import pytest

from browser import Browser, find_chromium
from processes import Cluster, get
from scripted_server import Handler, ScriptedServer

PHONE = {"width": 390, "height": 844, "phone": True, "dark": True}


@pytest.fixture(scope="module")
def served(binaries, checkpoint, tmp_path_factory):
    running = Cluster(binaries, checkpoint, tmp_path_factory.mktemp("playground"), gateway_flags=("--playground", "--api-key", "sesame"))
    yield running
    running.wait_idle()
    running.stop()


@pytest.fixture
def browser():
    program = find_chromium()
    if program is None:
        pytest.fail("no Chromium is here: run tools/setup --tests")
    opened = []

    def start(url: str, **shape) -> Browser:
        opened.append(Browser(program, **shape))
        opened[-1].open(url)
        return opened[-1]

    yield start
    for one in opened:
        one.close()


def ask(page: Browser, question: str) -> None:
    page.type("#question", question)
    page.enter()


def last(part: str) -> str:
    return f"[...document.querySelectorAll('.assistant')].at(-1).querySelector('{part}')"


DONE = "document.querySelector('#stop').hidden"


def url_of(cluster: Cluster) -> str:
    return f"http://127.0.0.1:{cluster.port}/"


def test_page_is_one_file_that_may_load_nothing(served, cluster):
    with urllib.request.urlopen(url_of(served)) as response:  # without a key
        headers, page = response.headers, response.read().decode()
    policy = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'none'" and policy["connect-src"] == "'self'"
    assert "unsafe" not in headers["Content-Security-Policy"] and "*" not in headers["Content-Security-Policy"]
    assert headers["Content-Type"] == "text/html; charset=utf-8" and headers["X-Content-Type-Options"] == "nosniff"
    assert not re.search(r"https?://|innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|Storage|\son\w+=", page)
    assert get(cluster.port, "/")[0] == 404  # off unless asked for


def test_person_asks_thinks_aloud_stops_and_starts_anew(served, browser):
    page = browser(url_of(served))
    page.wait_for("document.querySelector('#hint').classList.contains('problem')")  # no key yet
    assert "key" in page.value("document.querySelector('#hint').textContent")
    page.problems.clear()
    page.click("#toggle")
    page.type("#key", "sesame")
    page.type("#temperature", "0")
    page.wait_for("document.querySelector('#key').dispatchEvent(new Event('change')), document.querySelector('#model').value === 'demo'")
    page.click("#toggle")

    ask(page, "What is 478 + 256?")
    page.wait_for(f"document.querySelectorAll('.assistant').length === 1 && {DONE}")
    assert "734" in page.value(last(".text") + ".textContent")
    assert page.value(last("details") + ".open") is False  # folded
    assert page.value(last(".thoughts") + ".textContent.length") > 10
    assert re.search(r"Thought for \d+ tokens", page.value(last("summary") + ".textContent"))
    assert re.search(r"\d+ tokens · first after [\d.]+ s · \d+ tokens/s", page.value(last(".figures") + ".textContent"))

    page.value("document.querySelector('#max_tokens').value = 3")
    ask(page, "And 1 + 1?")
    page.wait_for(f"document.querySelectorAll('.assistant').length === 2 && {DONE}")
    assert "cut off" in page.value(last(".figures") + ".textContent")
    page.value("document.querySelector('#max_tokens').value = -1")
    ask(page, "And 1 + 1?")
    page.wait_for(f"document.querySelectorAll('.assistant').length === 3 && {DONE}")
    assert "max_tokens" in page.value(last(".problem") + ".textContent")
    page.value("document.querySelector('#max_tokens').value = ''")

    page.click("#reset")
    assert page.value("document.querySelectorAll('.turn').length") == 0
    assert all(url.startswith(url_of(served)) or url.startswith("data:") for url in page.requests), page.requests
    assert not [problem for problem in page.problems if "400" not in problem], page.problems


class Scripted(ScriptedServer):
    """Serves the gateway's own page and headers, and answers as the test says."""

    def __init__(self, page: bytes, policy: str):
        self.page, self.policy = page, policy
        self.text = "fine"
        super().__init__(_Handler)


class _Handler(Handler):
    def do_GET(self):
        if self.path == "/":
            self.answer(self.server.page, "text/html; charset=utf-8", Content_Security_Policy=self.server.policy)
        else:
            self.answer(b'{"data":[{"id":"demo"}]}')

    def do_POST(self):
        self.take_body()
        if self.server.status != 200:
            return self.answer(b'{"error":{"message":"too busy"}}', status=self.server.status, Retry_After="7")
        self.begin_stream()
        self.event({"choices": [{"delta": {"content": self.server.text}}], "usage": {"completion_tokens": 1}})
        if self.hold_stream():
            self.wfile.write(b"data: [DONE]\n\n")


@pytest.fixture
def scripted(served):
    with urllib.request.urlopen(url_of(served)) as response:
        server = Scripted(response.read(), response.headers["Content-Security-Policy"])
    yield server
    server.stop()


def test_nothing_that_a_model_writes_acts(scripted, browser):
    hostile = ("<img src=x onerror=document.title='owned'><script>document.title='owned'</script>\n"
               "**<b>strong</b>** `<i>code</i>`\n```html\n<a href=javascript:alert(1)>x</a>\n```\n# <u>head</u>")
    scripted.text = hostile
    page = browser(scripted.url)
    ask(page, hostile)
    page.wait_for(f"document.querySelectorAll('.assistant').length === 1 && {DONE}")
    assert page.value("document.title") == "Swiftlet"
    assert page.value("document.querySelectorAll('.turn img, .turn script, .turn b, .turn i, .turn a, .turn u').length") == 0
    assert page.value(last(".strong") + ".textContent") == "<b>strong</b>"
    assert page.value(last(".code") + ".textContent") == "<i>code</i>"
    assert page.value(last(".block") + ".textContent") == "<a href=javascript:alert(1)>x</a>"
    assert page.value(last(".heading") + ".textContent") == "<u>head</u>"
    assert page.value("document.querySelector('.user').textContent") == hostile
    # And were one of them to reach the page as HTML, the policy would hold it: no script, no picture, no call to others.
    page.value("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"document.title=1\">')")
    failed = page.value("fetch('http://127.0.0.1:9/').then(() => 'sent', () => 'refused')")
    assert failed == "refused" and page.value("document.title") == "Swiftlet"
    assert any("Content Security Policy" in problem for problem in page.problems), page.problems


def test_stop_ends_the_request_and_phones_fit(scripted, browser):
    scripted.hold, scripted.text = True, "wide " * 60 + "x" * 300
    page = browser(scripted.url, **PHONE)
    ask(page, "a question")
    page.wait_for(last(".text") + "?.textContent.length > 100")
    assert page.value("document.documentElement.scrollWidth <= innerWidth"), "the page is wider than a phone"
    assert page.value("getComputedStyle(document.body).backgroundColor") == "rgb(22, 24, 27)"  # dark, as the phone asks
    page.click("#stop")
    page.wait_for(DONE)
    assert scripted.hung_up.wait(10)
    assert "stopped" in page.value(last(".figures") + ".textContent")
    scripted.hold = False
    scripted.status = 429
    ask(page, "once more")
    page.wait_for(f"document.querySelectorAll('.assistant').length === 2 && {DONE}")
    assert page.value(last(".problem") + ".textContent") == "too busy (HTTP 429) Try again in 7 s."
    assert page.value("document.querySelector('#question').value") == "once more"  # to be sent again
    scripted.status = 200
    page.enter()
    page.wait_for(f"document.querySelectorAll('.assistant').length === 3 && {DONE}")
    said = [(message["role"], message["content"]) for message in scripted.bodies[-1]["messages"]]
    assert said == [("user", "a question"), ("assistant", scripted.text), ("user", "once more")]
