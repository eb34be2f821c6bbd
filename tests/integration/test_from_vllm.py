"""A typical article on serving DeepSeek-R1-Distill-Qwen-1.5B with vLLM, its client code as it stands, against this service."""

import json
import subprocess
import sys
import threading
import time

import pytest
from openai import OpenAI

LOCUST_FILE = '''
from locust import HttpUser, between, task

class ChatUser(HttpUser):
    wait_time = between(0.01, 0.05)

    @task
    def chat(self):
        self.client.post("/v1/chat/completions", json={
            "model": "demo", "messages": [{"role": "user", "content": "What is 478 + 256?"}], "max_tokens": 128, "temperature": 0.6})
'''


class LLMClient:
    def __init__(self, base_url="http://localhost:8000/v1"):
        self.client = OpenAI(base_url=base_url, api_key="none")
        self.model = "demo"

    def chat_completion(self, messages, stream=False, temperature=0.6, max_tokens=2048, **more):
        return self.client.chat.completions.create(
            model=self.model, messages=messages, temperature=temperature, max_tokens=max_tokens, stream=stream, **more)

    def stream_chat(self, messages, **more):
        full_response = ""
        for chunk in self.chat_completion(messages, stream=True, **more):
            if chunk.choices[0].delta.content is not None:
                full_response += chunk.choices[0].delta.content
        return full_response

    def simple_chat(self, user_message, system_message=None, **more):
        messages = []
        if system_message:
            messages.append({"role": "system", "content": system_message})
        messages.append({"role": "user", "content": user_message})
        response = self.chat_completion(messages, **more)
        return response.choices[0].message.content


@pytest.fixture
def article(cluster) -> LLMClient:
    return LLMClient(f"http://127.0.0.1:{cluster.port}/v1")


STOP = ["\n\n", "Observation:", "Thought:"]


def test_ordinary_and_streamed_chat(article):
    # 2,048 tokens do not fit behind a prompt in the demo model's context of 2,048: the article's server was started with 4,096.
    assert "734" in article.simple_chat("What is 478 + 256?", "You are a helpful assistant.", max_tokens=256, seed=1)
    assert "579" in article.stream_chat([{"role": "user", "content": "计算 123 加 456 等于多少？"}], max_tokens=256, seed=1)


def test_stop_strings_do_not_cut_the_reasoning(article):
    # The reasoning ends with a blank line, so "\n\n" occurs in what the model writes before its answer.
    plain = article.simple_chat("What is 478 + 256?", max_tokens=256, temperature=0)
    assert article.simple_chat("What is 478 + 256?", max_tokens=256, temperature=0, stop=STOP) == plain != ""


def test_thinking_is_forced_as_the_article_advises(article):
    messages = [{"role": "user", "content": "What is 478 + 256?"}, {"role": "assistant", "content": "<think>\n"}]
    message = article.chat_completion(messages, max_tokens=256, temperature=0.6, seed=2).choices[0].message
    assert "8 + 6 = 14" in message.reasoning_content and "734" in message.content


def test_thirty_two_threads_at_once(article, cluster):
    answers, threads = [], []
    start = time.time()

    def task():
        answers.append(article.simple_chat("What is 478 + 256?", max_tokens=128, temperature=0.6, stop=STOP))

    for _ in range(32):
        thread = threading.Thread(target=task)
        thread.start()
        threads.append(thread)
    for thread in threads:
        thread.join()
    print(f"32 at once: {time.time() - start:.2f} s")
    assert len(answers) == 32
    assert sum("734" in answer for answer in answers) >= 28  # drawn at 0.6, without a seed
    cluster.wait_idle()


def test_locust(cluster, tmp_path):
    """32 users for some seconds; those under way at the end are waited for."""
    (tmp_path / "locustfile.py").write_text(LOCUST_FILE)
    run = subprocess.run([sys.executable, "-m", "locust", "-f", tmp_path / "locustfile.py", "--headless", "--only-summary", "--json",
                          "-u", "32", "-r", "32", "-t", "3s", "-s", "60", "--exit-code-on-error", "1",
                          "--host", f"http://127.0.0.1:{cluster.port}"], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr[-3000:]
    [chat] = json.loads(run.stdout)
    print(f"locust: {chat['num_requests']} requests")
    assert chat["name"] == "/v1/chat/completions" and chat["num_requests"] >= 32 and chat["num_failures"] == 0, chat
    cluster.wait_idle()
