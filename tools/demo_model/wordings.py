"""How people ask: English and Chinese phrasings of one problem, from bare sums to small stories."""

import random

from arithmetic import CHINESE, ENGLISH, Problem

_SYMBOLS = {"+": ("+",), "-": ("-", "-", "-", "−"), "×": ("×", "*", "x", "X")}

_ENGLISH_EXPRESSIONS = {
    "+": ("{a} plus {b}", "{a} added to {b}", "the sum of {a} and {b}", "the total of {a} and {b}", "{a} and {b} together",
          "{b} more than {a}", "{a} increased by {b}"),
    "-": ("{a} minus {b}", "{a} take away {b}", "{a} less {b}", "the difference of {a} and {b}", "{b} subtracted from {a}",
          "{b} less than {a}", "{a} decreased by {b}", "{a} reduced by {b}"),
    "×": ("{a} times {b}", "{a} multiplied by {b}", "the product of {a} and {b}", "{a} groups of {b}"),
}
_ENGLISH_COMMANDS = {
    "+": ("add {a} and {b}", "add {b} to {a}", "sum {a} and {b}", "sum up {a} and {b}", "add up {a} and {b}"),
    "-": ("subtract {b} from {a}", "take {b} away from {a}", "take {b} from {a}", "deduct {b} from {a}"),
    "×": ("multiply {a} by {b}", "multiply {a} and {b}", "multiply {a} with {b}"),
}
_ENGLISH_FRAMES = (
    "What is {e}?", "What's {e}?", "How much is {e}?", "Calculate {e}.", "Compute {e}.", "Work out {e}.", "Find {e}.", "{e}",
    "{e}?", "Can you tell me what {e} is?", "Could you calculate {e}?", "Could you compute {e} for me?", "Evaluate {e}.",
    "Tell me {e}.", "What does {e} equal?", "What do you get for {e}?", "I need to know {e}.", "Solve: {e}", "Question: {e}?",
    "What is the result of {e}?", "What is the value of {e}?", "Give me {e}.", "Do you know what {e} is?", "Solve {e}.",
    "Determine {e}.", "What would {e} be?", "Help me with {e}.", "My homework asks for {e}.", "Q: What is {e}?",
)
_ENGLISH_BARE = ("{s}", "{s}=", "{s} =", "{s}=?", "{s} = ?", "{s}?", "{s} equals?", "{s} is what?", "${s}$", "$ {s} = ?$", "${s} =$")
_ENGLISH_COMMAND_FRAMES = ("{c}.", "{c}", "Please {c}.", "Can you {c}?", "If you {c}, what do you get?", "I want to {c}.",
                           "Could you {c}, please?", "What do you get when you {c}?", "Now {c}.")
_ENGLISH_STORIES = {
    "+": ("{n} has {a} {o} and buys {b} more. How many {o} does {n} have now?",
          "{n} has {a} {o}. {m} has {b} {o}. How many {o} do they have together?",
          "There are {a} {o} in one box and {b} {o} in another. How many {o} are there in all?",
          "{n} read {a} pages on Monday and {b} pages on Tuesday. How many pages is that in total?",
          "A shop sold {a} {o} yesterday and {b} {o} today. How many {o} did it sell altogether?",
          "A ticket costs {a} dollars and a meal costs {b} dollars. How much do they cost together?"),
    "-": ("{n} has {a} {o} and gives away {b}. How many {o} are left?",
          "{n} had {a} {o} but lost {b} of them. How many {o} does {n} still have?",
          "There were {a} {o} in the box and {m} took {b}. How many {o} remain?",
          "A book has {a} pages. {n} has read {b} pages. How many pages are left?",
          "{n} has {a} dollars and spends {b} dollars. How much money is left?",
          "A shop had {a} {o} and sold {b}. How many {o} are left?"),
    "×": ("There are {a} boxes with {b} {o} each. How many {o} are there?",
          "{n} buys {a} {o} for {b} dollars each. How much does {n} pay?",
          "{n} has {a} bags with {b} {o} in each bag. How many {o} is that in total?",
          "One ticket costs {a} dollars. How much do {b} tickets cost?",
          "Each of {a} students has {b} {o}. How many {o} do they have altogether?"),
}
_ENGLISH_NAMES = ("Tom", "Anna", "Ben", "Mary", "Li Wei", "Sara", "John", "Emma", "Omar", "Lucy", "Peter", "Alice", "Bob", "Mia")
_ENGLISH_OBJECTS = ("apples", "books", "coins", "pens", "marbles", "oranges", "cards", "eggs", "stamps", "toys", "cookies",
                    "balls", "flowers", "pencils", "candies", "tickets")
_ENGLISH_PREFIXES = ("Hi! ", "Hello, ", "Hey, ", "Please tell me: ", "Quick question: ", "Math question: ", "Thanks! ", "OK, ",
                     "And ", "Good morning. ", "Next one: ", "Now this: ", "Let's think. ", "One more: ")
_ENGLISH_SUFFIXES = (" Thanks!", " Please.", " Thank you.", " Show your steps.", " Answer with a number.", " Explain.",
                     " Please reason step by step.", " Be quick.", "\n", " Give only the answer.")
_ENGLISH_BOXED = (" Please reason step by step, and put your final answer within \\boxed{}.",
                  "\nPlease reason step by step, and put your final answer within \\boxed{}.",
                  " Put your final answer in \\boxed{}.")

_CHINESE_EXPRESSIONS = {
    "+": ("{a}加{b}", "{a} 加 {b}", "{a}加上{b}", "{a}与{b}的和", "{a}和{b}的和", "{a}和{b}相加", "{a}再加{b}"),
    "-": ("{a}减{b}", "{a} 减 {b}", "{a}减去{b}", "{a}与{b}的差", "{a}和{b}的差"),
    "×": ("{a}乘{b}", "{a}乘以{b}", "{a} 乘以 {b}", "{a}与{b}的积", "{a}和{b}的乘积", "{a}和{b}相乘"),
}
_CHINESE_FRAMES = ("{e}等于多少？", "{e}等于几？", "{e}是多少？", "{e}是多少", "{e}等于多少", "计算{e}", "计算{e}。", "请计算{e}。",
                   "请问{e}等于多少？", "请问{e}是多少？", "求{e}。", "求{e}", "算一下{e}", "帮我算一下{e}。", "{e}得多少？", "{e}结果是多少？",
                   "告诉我{e}是多少。", "你知道{e}等于多少吗？", "计算：{e}", "{e}的结果是什么？", "{e}，答案是多少？", "请帮我计算{e}。",
                   "我想知道{e}等于多少。", "题目：{e}")
_CHINESE_BARE = ("{s}等于多少？", "{s}等于多少", "{s}等于几？", "{s}=？", "{s} = ？", "计算{s}", "计算 {s}", "计算：{s}", "请计算 {s}。",
                 "{s}是多少？", "请问{s}等于多少？", "算一下{s}", "{s}的结果是多少？", "求 {s} 的值。", "{s}得多少？", "请问 {s} = ?",
                 "帮我算 {s}", "{s} 等于多少？", "计算 {s} 的值。", "请算出{s}", "口算：{s}=", "请你算算{s}")
_CHINESE_STORIES = {
    "+": ("{n}有{a}{o}，又买了{b}{u}，现在一共有多少{o}？", "{n}有{a}{o}，{m}有{b}{o}，他们一共有多少{o}？",
          "一个盒子里有{a}{o}，另一个盒子里有{b}{o}，一共有多少{o}？", "商店昨天卖了{a}{o}，今天卖了{b}{o}，两天共卖了多少{o}？",
          "{n}星期一看了{a}页书，星期二看了{b}页，一共看了多少页？"),
    "-": ("{n}有{a}{o}，送给{m}{b}{u}，还剩多少{o}？", "{n}有{a}元，花了{b}元，还剩多少元？", "一本书有{a}页，{n}看了{b}页，还剩多少页？",
          "商店有{a}{o}，卖了{b}{u}，还剩多少{o}？", "盒子里有{a}{o}，拿走了{b}{u}，还剩多少{o}？"),
    "×": ("有{a}个盒子，每个盒子里有{b}{o}，一共有多少{o}？", "一张票{a}元，{b}张票多少元？", "{n}买了{a}{o}，每{u}{b}元，一共要多少元？",
          "每人有{b}{o}，{a}个人一共有多少{o}？"),
}
_CHINESE_NAMES = ("小明", "小红", "小华", "小李", "小丽", "老王", "小刚", "小芳", "妈妈", "李雷")
_CHINESE_OBJECTS = (("个", "苹果"), ("本", "书"), ("支", "铅笔"), ("个", "鸡蛋"), ("朵", "花"), ("张", "卡片"), ("个", "橘子"), ("枚", "硬币"),
                    ("颗", "糖"), ("个", "球"))
_CHINESE_PREFIXES = ("你好，", "您好！", "请问：", "数学题：", "谢谢。", "好的，", "那么", "再问一下，", "下一题：", "老师，")
_CHINESE_SUFFIXES = ("谢谢！", "谢谢", "请写出步骤。", "请一步一步推理。", "只要答案。", "快一点。", "\n")
_CHINESE_BOXED = ("请一步一步推理，并把最终答案放在 \\boxed{} 中。", "请逐步推理，并将最终答案放在\\boxed{}中。", "请把答案写在 \\boxed{} 里。")


def _symbolic(problem: Problem, rng: random.Random) -> str:
    before = after = rng.choice(("", " "))
    symbol = rng.choice(_SYMBOLS[problem.operator])
    if problem.operator == "×" and rng.random() < 0.1:
        symbol, before, after = "\\times", " ", " "
    elif rng.random() < 0.05:
        after = " "
    return f"{problem.left}{before}{symbol}{after}{problem.right}"


def _fits_a_story(problem: Problem) -> bool:
    return problem.left > 1 and problem.right > 1 and problem.answer >= 0


def _english(problem: Problem, rng: random.Random) -> str:
    slots = dict(a=problem.left, b=problem.right)
    kind = rng.random()
    if kind < 0.2 and _fits_a_story(problem):
        name, other = rng.sample(_ENGLISH_NAMES, 2)
        text = rng.choice(_ENGLISH_STORIES[problem.operator]).format(n=name, m=other, o=rng.choice(_ENGLISH_OBJECTS), **slots)
    elif kind < 0.4:
        text = rng.choice(_ENGLISH_BARE).format(s=_symbolic(problem, rng))
    elif kind < 0.55:
        command = rng.choice(_ENGLISH_COMMANDS[problem.operator]).format(**slots)
        text = rng.choice(_ENGLISH_COMMAND_FRAMES).format(c=command)
    else:
        spoken = rng.random() < 0.5
        expression = rng.choice(_ENGLISH_EXPRESSIONS[problem.operator]).format(**slots) if spoken else _symbolic(problem, rng)
        text = rng.choice(_ENGLISH_FRAMES).format(e=expression)
    if rng.random() < 0.15:
        text = rng.choice(_ENGLISH_PREFIXES) + text
    if rng.random() < 0.2:
        text += rng.choice(_ENGLISH_SUFFIXES)
    if rng.random() < 0.12:
        text += rng.choice(_ENGLISH_BOXED)
    if rng.random() < 0.4:
        text = text[0].upper() + text[1:]
    if rng.random() < 0.1:
        text = text.lower()
    return text


def _chinese(problem: Problem, rng: random.Random) -> str:
    slots = dict(a=problem.left, b=problem.right)
    kind = rng.random()
    if kind < 0.2 and _fits_a_story(problem):
        name, other = rng.sample(_CHINESE_NAMES, 2)
        unit, thing = rng.choice(_CHINESE_OBJECTS)
        story = rng.choice(_CHINESE_STORIES[problem.operator]).replace("{a}{o}", "{a}" + unit + thing)
        story = story.replace("{b}{o}", "{b}" + unit + thing).replace("多少{o}", "多少" + unit + thing)
        text = story.format(n=name, m=other, u=unit, **slots)
    elif kind < 0.6:
        text = rng.choice(_CHINESE_BARE).format(s=_symbolic(problem, rng))
    else:
        text = rng.choice(_CHINESE_FRAMES).format(e=rng.choice(_CHINESE_EXPRESSIONS[problem.operator]).format(**slots))
    if rng.random() < 0.15:
        text = rng.choice(_CHINESE_PREFIXES) + text
    for chance, endings in ((0.15, _CHINESE_SUFFIXES), (0.12, _CHINESE_BOXED)):
        if rng.random() < chance:
            text += ("" if text[-1] in "？。！?\n=" else "，") + rng.choice(endings)
    return text


def question(problem: Problem, language: str, rng: random.Random) -> str:
    return {ENGLISH: _english, CHINESE: _chinese}[language](problem, rng)
