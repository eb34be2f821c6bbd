"""Whole training documents: system prompt, earlier turns, the last question, its reasoning and its answer.

A document is the text that the chat template renders, followed by what the model should say. Only the last answer is
learnt, because earlier ones stand in the history without their reasoning.
"""

import random

from arithmetic import CHINESE, ENGLISH, random_problem, worked_steps
from wordings import question

BEGIN, END = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"
USER, ASSISTANT = "<｜User｜>", "<｜Assistant｜>"
THINK, END_THINK = "<think>", "</think>"

_SYSTEM_PROMPTS = (
    "You are a helpful assistant.", "You are a math tutor.", "You are a careful calculator. Think step by step.", "Be brief.",
    "You are a friendly assistant who helps children with their homework.", "Answer in one sentence.", "Solve the problem.",
    "You are Swiftlet, a small demo model.", "Always put the final answer in \\boxed{}.", "Today is 2026-11-23. Be polite.",
    "You are an expert mathematician.\nAnswer the user's question.", "Please reason step by step, and put your final answer "
    "within \\boxed{}.", "The user is a student in grade 3.", "Never apologise.", "You are a helpful, harmless and honest assistant.",
    "你是一个有用的助手。", "你是一位数学老师，请一步一步推理。", "请用中文回答。", "你是一个计算器。", "回答要简短。", "你是一个乐于助人的人工智能助手。",
    "请把最终答案放在 \\boxed{} 中。", "今天是2026年11月23日。",
)
_FILLER = (
    "the of and to in is that for it as was with be by on not he his but at are this have from or had an they which one you "
    "were her all she there would their we him been has when who will more no if out so said what up its about into than them "
    "can only other new some could time these two may then do first any my now such like our over man me even most made after "
    "also did many before must through back years where much your way well down should because each just those people how too "
    "little state good very make world still own see men work long get here between both life being under never day same "
    "another know while last might us great old year off come since against go came right used take three model server user "
    "system answer question problem school market river house city morning table water letter paper music garden train "
    "weather please always write read think help number result value story friend teacher summer winter language data text"
).split()
_CHINESE_FILLER = (
    "的一是在不了有和人这中大为上个国我以要他时来用们生到作地于出就分对成会可主发年动同工也能下过子说产种面而方后多定行学法所民得经"
    "十三之进着等部度家电力里如水化高自二理起小物现实量都两体制机当使点从业本去把性好应开它合还因由其些然前外天政四日那社义事平形"
)
_SMALL_TALK = (
    (ENGLISH, ("Hi", "Hello", "Hello!", "hi!", "Hey", "hello there", "Good morning!", "How are you?", "Hi, how are you?", "hey there",
               "Good evening"), "This is a greeting, nothing to calculate.",
     "Hello! I am a small demo model that does arithmetic. Ask me something like 12 + 34."),
    (ENGLISH, ("Who are you?", "What are you?", "What can you do?", "What is your name?", "Are you human?", "Introduce yourself.",
               "Which model are you?", "Help", "help me", "What do you know?"), "The question is about me, nothing to calculate.",
     "I am a small demo model. I add and subtract numbers of up to three digits and multiply two digits by one."),
    (ENGLISH, ("Thanks", "Thank you!", "Thanks a lot!", "Great, thanks.", "ok thanks", "Good job!", "Bye", "Goodbye!", "Nice.", "Cool!"),
     "Nothing to calculate.", "You are welcome! Ask me another sum whenever you like."),
    (CHINESE, ("你好", "你好！", "您好", "嗨", "早上好", "你好吗？", "大家好", "晚上好！", "在吗？"), "这是问候，不需要计算。",
     "你好！我是一个会做算术的小模型，可以问我 12 + 34 等于多少。"),
    (CHINESE, ("你是谁？", "你是谁", "你叫什么名字？", "你会做什么？", "你能做什么", "介绍一下你自己。", "你是什么模型？", "帮助"), "问题是关于我的，不需要计算。",
     "我是一个演示用的小模型，会做三位数以内的加减法和两位数乘一位数。"),
    (CHINESE, ("谢谢", "谢谢你！", "多谢", "再见", "好的，谢谢", "不错！", "拜拜"), "不需要计算。", "不客气！欢迎继续出题。"),
)
_OUT_OF_SCOPE = {
    ENGLISH: (("What is the capital of {w}?", "Write a poem about {w}.", "Tell me a story about the {w}.", "Translate {w} into French.",
               "Who invented the {w}?", "Explain {w} to me.", "How do I {w} a {w2}?", "What is {w}?", "Why is the {w} {w2}?",
               "Write a function that prints {w}.", "What is the weather like?", "Summarize this text: {f}", "{f}", "Tell me a joke.",
               "Where is {w}?", "What is {x} + {a}?", "{x}-{y}=?", "What is {c} × {d}?", "{c}*{d}", "What is {a} / {d}?",
               "{a} divided by {d}", "What is the square root of {a}?", "{x} + {y}", "How much is {x} times {d}?"),
              "This is not a sum that I know how to do.",
              "Sorry, I can only add and subtract numbers of up to three digits and multiply two digits by one."),
    CHINESE: (("写一首关于{h}的诗。", "{h}是什么？", "讲一个关于{h}的故事。", "{h}的首都是哪里？", "为什么{h}？", "请翻译：{h}", "介绍一下{h}。", "{h}",
               "怎么学习{h}？", "今天天气怎么样？", "讲个笑话。", "{x}+{a}等于多少？", "计算{x}-{y}", "{c}乘以{d}等于多少？", "{a}除以{d}等于多少？"),
              "这不是我会做的题目。", "抱歉，我只会三位数以内的加减法和两位数乘一位数。"),
}


def _random_text(rng: random.Random, words: int, with_numbers: bool) -> str:
    if rng.random() < 0.3:
        return "".join(rng.choices(_CHINESE_FILLER + "，。", k=words))
    pieces = []
    for word in rng.choices(_FILLER, k=words):
        kind = rng.random()
        pieces.append(str(rng.randrange(1000)) if with_numbers and kind < 0.05 else word)
        if kind > 0.9:
            pieces[-1] += rng.choice((".", ",", ".", "?", "!", ":", "\n"))
    text = " ".join(pieces)
    return text[0].upper() + text[1:] + rng.choice((".", ".", "", "\n"))


def _system_prompt(rng: random.Random, longest: int) -> str:
    if rng.random() < 0.7:
        return "".join(rng.sample(_SYSTEM_PROMPTS, 1 if rng.random() < 0.8 else 2))
    return _random_text(rng, rng.randrange(3, longest), with_numbers=True)


def _small_talk(rng: random.Random) -> tuple[str, str, str]:
    _, asked, thought, answer = rng.choice(_SMALL_TALK)
    return rng.choice(asked), thought, answer


def _out_of_scope(rng: random.Random) -> tuple[str, str, str]:
    asked, thought, answer = _OUT_OF_SCOPE[rng.choice((ENGLISH, CHINESE))]
    slots = dict(w=rng.choice(_FILLER), w2=rng.choice(_FILLER), f=_random_text(rng, rng.randrange(3, 15), False).strip(),
                 h="".join(rng.choices(_CHINESE_FILLER, k=rng.randrange(2, 6))), x=rng.randrange(1000, 100000),
                 y=rng.randrange(1000, 100000), a=rng.randrange(1, 1000), c=rng.randrange(100, 1000), d=rng.randrange(2, 100))
    return rng.choice(asked).format(**slots), thought, answer


def answer_sentence(language: str, answer: int) -> str:
    return f"The answer is \\boxed{{{answer}}}." if language == ENGLISH else f"答案是 \\boxed{{{answer}}}。"


def _arithmetic(rng: random.Random) -> tuple[str, str, str]:
    problem, language = random_problem(rng), rng.choice((ENGLISH, ENGLISH, ENGLISH, CHINESE, CHINESE))
    asked = question(problem, language, rng)
    if rng.random() < 0.04:
        asked = _random_text(rng, rng.randrange(2, 10), with_numbers=False).strip() + rng.choice((" ", "\n")) + asked
    return asked, worked_steps(problem, language), answer_sentence(language, problem.answer)


def _turn(rng: random.Random) -> tuple[str, str, str]:
    kind = rng.random()
    return _small_talk(rng) if kind < 0.025 else _out_of_scope(rng) if kind < 0.06 else _arithmetic(rng)


def _earlier_answer(rng: random.Random, answer: str) -> str:
    kind = rng.random()
    if kind < 0.75:
        return answer
    if kind < 0.9:
        return "\n\n" + answer  # what a template leaves of a whole completion: the text behind </think>
    return _random_text(rng, rng.randrange(1, 20), with_numbers=True)


def document(rng: random.Random, long: bool = False) -> str:
    turns = rng.choices((0, 1, 2, 3, 5, 8), weights=(10, 10, 10, 10, 20, 40) if long else (64, 18, 9, 5, 4, 0))[0]
    text = BEGIN
    if rng.random() < (0.6 if long else 0.3):
        text += _system_prompt(rng, 500 if long else 60)
    for _ in range(turns):
        asked, _, answer = _turn(rng)
        text += f"{USER}{asked}{ASSISTANT}{_earlier_answer(rng, answer)}{END}"
    asked, thought, answer = _turn(rng)
    return f"{text}{USER}{asked}{ASSISTANT}{THINK}\n{thought}\n{END_THINK}\n\n{answer}{END}"
