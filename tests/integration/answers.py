"""Asks through OpenAI's client, whole or streamed, and gives both back in the same shape."""

import re
from dataclasses import dataclass

import openai


@dataclass(frozen=True)
class Answer:
    reasoning: str
    content: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int

    @property
    def boxed(self) -> int | None:
        found = re.findall(r"\\boxed\{(-?\d+)\}", self.content)
        return int(found[-1]) if found else None


def ask(client: openai.OpenAI, question: str | list[dict], stream: bool = False, **parameters) -> Answer:
    messages = [dict(role="user", content=question)] if isinstance(question, str) else question
    arguments = dict(model="demo", messages=messages, max_tokens=256) | parameters
    if not stream:
        reply = client.chat.completions.create(**arguments)
        choice = reply.choices[0]
        return Answer(getattr(choice.message, "reasoning_content", None) or "", choice.message.content or "",
                      choice.finish_reason, reply.usage.prompt_tokens, reply.usage.completion_tokens)
    reasoning = content = finish_reason = ""
    usage = None
    for chunk in client.chat.completions.create(stream=True, stream_options=dict(include_usage=True), **arguments):
        assert usage is None, "an event behind the usage"
        usage = chunk.usage
        for choice in chunk.choices:
            assert not finish_reason, "text behind the finish reason"
            reasoning += getattr(choice.delta, "reasoning_content", None) or ""
            content += choice.delta.content or ""
            finish_reason = choice.finish_reason or ""
    return Answer(reasoning, content, finish_reason, usage.prompt_tokens, usage.completion_tokens)
