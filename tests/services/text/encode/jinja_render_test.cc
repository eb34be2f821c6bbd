// Handwritten templates and what Jinja2 3.1.6 makes of them: sandboxed, trim_blocks, lstrip_blocks, loop controls, and
// the tojson, raise_exception and strftime_now of chat templates.
#include <gtest/gtest.h>

#include <utility>

#include "tests/services/text/encode/jinja_render.h"

namespace swiftlet::jinja {
namespace {

// {template, text}
constexpr std::pair<const char*, const char*> kRenders[] = {
    {R"~({{ s }}|{{ n }}|{{ f }}|{{ b }}|{{ z }}|{{ l }}|{{ d }}|{{ undefinedvar }}|)~", R"~(Hello World|7|2.5|True|None|[3, 1, 2]|{'b': 1, 'a': [1, 2, {'x': None}], 'items': 'shadow', 'keys': 5, 'été': 'q"\\/\n'}||)~"},
    {R"~({{ nested }}{{ ls }}{{ u }}{{ [u] }}{{ ml }}{{ [ml] }})~", "[[1, 2], [3, [4, 5]]]['b', 'a', 'C']<|im_end|> h\303\251llo \344\270\226\347\225\214 \t\n['<|im_end|> h\303\251llo \344\270\226\347\225\214 \\t\\n']a\nb\r\nc\n\nd['a\\nb\\r\\nc\\n\\nd']"},
    {R"~({{ fl }}{{ fl|tojson }}{{ big }}{{ big2 }}{{ big + 1 }}{{ neg }})~", R"~([1.0, 0.1, 1e+16, 1e-05, 123456789.123, 1e+22, -0.0][1.0, 0.1, 1e+16, 1e-05, 123456789.123, 1e+22, -0.0]18446744073709551615900719925474099318446744073709551616-3)~"},
    {R"~({{ 1.0 }} {{ 1e3 }} {{ 1_000 }} {{ 0x1F }} {{ 0b11 }} {{ 0o17 }} {{ 1.5e-7 }} {{ 10 ** 20 }} {{ 3.0 * 2 }})~", R"~(1.0 1000.0 1000 31 3 15 1.5e-07 100000000000000000000 6.0)~"},
    {R"~({{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % 3 }} {{ -7 % 3 }} {{ 7 % -3 }} {{ 7.5 % 2 }} {{ -7.5 // 2 }} {{ 2 ** 10 }} {{ 2 ** -1 }} {{ 7 / 2 }} {{ 6 / 2 }})~", R"~(3 -4 1 2 -2 1.5 -4.0 1024 0.5 3.5 3.0)~"},
    {R"~({{ -n }} {{ +n }} {{ - 3 + 4 }} {{ -3|abs }} {{ 2 + 3 * 4 }} {{ (2 + 3) * 4 }} {{ 2 ** 3 ** 2 }})~", R"~(-7 7 1 3 14 20 64)~"},
    {R"~({{ 'a' ~ 1 ~ none ~ true ~ [1] ~ undefinedvar ~ 1.0 }})~", R"~(a1NoneTrue[1]1.0)~"},
    {R"~({{ 'a' * 3 }} {{ 3 * 'ab' }} {{ [1,2] * 2 }} {{ 'a' * -1 }}|)~", R"~(aaa ababab [1, 2, 1, 2] |)~"},
    {R"~({{ (1,2) }} {{ (1,) }} {{ () }} {{ 1, 2 }})~", R"~((1, 2) (1,) () (1, 2))~"},
    {R"~({{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 1 == 1.0 }} {{ 1 == true }} {{ '1' == 1 }} {{ none == none }} {{ [1,2] == [1,2] }} {{ (1,2) == [1,2] }} {{ {'a':1} == {'a':1.0} }})~", R"~(True False True True False True True False True)~"},
    {R"~({{ 'a' < 'b' }} {{ 'B' < 'a' }} {{ [1,2] < [1,3] }} {{ 2 >= 2 }} {{ 2 != 3 }})~", R"~(True True True True True)~"},
    {R"~({{ undefinedvar == undefinedvar2 }} {{ undefinedvar == none }} {{ undefinedvar != 1 }})~", R"~(True False True)~"},
    {R"~({{ 'ell' in s }} {{ 'x' in s }} {{ 'x' not in s }} {{ 3 in l }} {{ 'b' in d }} {{ 'q' not in d }} {{ 1 in undefinedvar }} {{ '' in s }})~", R"~(True False True True True True False True)~"},
    {R"~({{ not true }} {{ not e }} {{ not not n }} {{ not 1 in l }} {{ not undefinedvar }})~", R"~(False True True False True)~"},
    {R"~({{ e or 'dflt' }} {{ n and 'yes' }} {{ none or 0 or [] or 'last' }} {{ 0 and x.y.z }} {{ 1 or x.y.z }})~", R"~(dflt yes last 0 1)~"},
    {R"~({{ 'a' if b else 'c' }} {{ 'a' if e }}| {{ 'a' if e else 'b' if z else 'c' }})~", R"~(a | c)~"},
    {R"~({{ s[0] }} {{ s[-1] }} {{ s[100] }}| {{ s[1:3] }} {{ s[:-1] }} {{ s[::-1] }} {{ s[::2] }} {{ s[-3:] }} {{ s[5:2] }}| {{ u[11:15] }} {{ u[-4:-2] }})~", R"~(H d | el Hello Worl dlroW olleH HloWrd rld | héll 界 )~"},
    {R"~({{ l[0] }} {{ l[-1] }} {{ l[1:] }} {{ l[5:] }} {{ l[9] }}| {{ l['x'] }}| {{ l[::-1] }} {{ l[-100:100] }} {{ l[2:0:-1] }} {{ l[none:2] }})~", R"~(3 2 [1, 2] [] | | [2, 1, 3] [3, 1, 2] [2, 1] [3, 1])~"},
    {R"~({{ n[0] }}| {{ none[0] }}|)~", R"~(| |)~"},
    {R"~({{ none.x }}| {{ none.x is defined }})~", R"~(| False)~"},
    {R"~({{ d.b }} {{ d['b'] }} {{ d.a[2].x }} {{ d.a.2.x }} {{ d['items'] }} {{ d.items is callable }} {{ d['keys'] }} {{ d.keys is string }})~", R"~(1 1 None None shadow True 5 False)~"},
    {R"~({{ d.items() }})~", R"~(dict_items([('b', 1), ('a', [1, 2, {'x': None}]), ('items', 'shadow'), ('keys', 5), ('été', 'q"\\/\n')]))~"},
    {R"~({{ d.items()|list }} {{ d.keys()|list }} {{ d.values()|list }} {{ d.get('b') }} {{ d.get('zz') }} {{ d.get('zz', 4) }})~", R"~([('b', 1), ('a', [1, 2, {'x': None}]), ('items', 'shadow'), ('keys', 5), ('été', 'q"\\/\n')] ['b', 'a', 'items', 'keys', 'été'] [1, [1, 2, {'x': None}], 'shadow', 5, 'q"\\/\n'] 1 None 4)~"},
    {R"~({{ l.append is defined }} {{ d.update is defined }} {{ d.setdefault is undefined }} {{ s.upper is defined }})~", R"~(False False True True)~"},
    {R"~({{ l.index(1) }} {{ l.count(3) }})~", R"~(1 1)~"},
    {R"~({{ s.__class__ }}|)~", R"~(|)~"},
    {R"~({{ ''.join(['a','b']) }} {{ '-'.join(ls) }} {{ ','.join(d) }} {{ ','.join('abc') }})~", R"~(ab b-a-C b,a,items,keys,été a,b,c)~"},
    {R"~({{ s.upper() }} {{ s.lower() }} {{ s.title() }} {{ s.capitalize() }} {{ s.swapcase() }} {{ "they're bill's".title() }} {{ 'ß'.upper() }} {{ 'ÉTÉ'.lower() }} {{ 'éa'.capitalize() }})~", R"~(HELLO WORLD hello world Hello World Hello world hELLO wORLD They'Re Bill'S SS été Éa)~"},
    {R"~({{ s|upper }} {{ s|lower }} {{ s|title }} {{ s|capitalize }} {{ "they're bill's foo-bar (baz) x_y"|title }} {{ 5|upper }} {{ none|upper }} {{ undefinedvar|upper }}|)~", R"~(HELLO WORLD hello world Hello World Hello world They're Bill's Foo-Bar (Baz) X_y 5 NONE |)~"},
    {R"~({{ sp.strip() }}|{{ sp.lstrip() }}|{{ sp.rstrip() }}|{{ 'xxaxx'.strip('x') }}|{{ 'abcba'.lstrip('ab') }}|{{ 'abcba'.rstrip('ab') }}|{{ u.strip() }}|{{ sp.strip(none) }}|)~", R"~(padded|padded  |  padded|a|cba|abc|<|im_end|> héllo 世界|padded|)~"},
    {R"~({{ sp|trim }}|{{ 'xxaxx'|trim('x') }}|{{ none|trim }}|{{ undefinedvar|trim }}|{{ 5|trim }}|)~", R"~(padded|a|None||5|)~"},
    {R"~({{ s.split() }} {{ 'a,b,,c'.split(',') }} {{ 'a,b,c'.split(',', 1) }} {{ '  a  b '.split() }} {{ '  a  b  c'.split(none, 1) }} {{ ''.split() }} {{ ''.split(',') }} {{ 'abc'.split('abc') }} {{ 'a b c'.split(maxsplit=1) }} {{ 'aXbX'.split(sep='X') }})~", R"~(['Hello', 'World'] ['a', 'b', '', 'c'] ['a', 'b,c'] ['a', 'b'] ['a', 'b  c'] [] [''] ['', ''] ['a', 'b c'] ['a', 'b', ''])~"},
    {R"~({{ 'a,b,c'.rsplit(',', 1) }} {{ ' a b  c '.rsplit(none, 1) }} {{ 'a,b,c'.rsplit(',') }} {{ ml.splitlines() }} {{ ml.splitlines(true) }} {{ 'a,b'.partition(',') }} {{ 'ab'.partition(',') }} {{ 'a,b,c'.rpartition(',') }} {{ 'ab'.rpartition(',') }})~", R"~(['a,b', 'c'] [' a b', 'c'] ['a', 'b', 'c'] ['a', 'b', 'c', '', 'd'] ['a\n', 'b\r\n', 'c\n', '\n', 'd'] ('a', ',', 'b') ('ab', '', '') ('a,b', ',', 'c') ('', '', 'ab'))~"},
    {R"~({{ '</think>x</think>y'.split('</think>')[-1] }} {{ ms[2].content.split('</think>')[0].split('<think>')[-1].strip('\n') }})~", R"~(y abc)~"},
    {R"~({{ s.startswith('He') }} {{ s.startswith(('x','H')) }} {{ s.endswith('ld') }} {{ s.startswith('') }} {{ s.startswith('l', 2) }} {{ s.endswith('lo', 0, 5) }} {{ ''.startswith('', 1) }})~", R"~(True True True True True True False)~"},
    {R"~({{ s.find('o') }} {{ s.rfind('o') }} {{ s.find('zz') }} {{ s.find('o', 5) }} {{ s.index('W') }} {{ s.count('l') }} {{ s.count('') }} {{ u.find('世') }} {{ 'aaa'.count('aa') }})~", R"~(4 7 -1 7 6 3 12 17 1)~"},
    {R"~({{ s.replace('l', 'L') }} {{ s.replace('l', 'L', 1) }} {{ 'abc'.replace('', '-') }} {{ 'aaa'.replace('a', '') }}| {{ s|replace('o', '0') }} {{ 'aaa'|replace('a','b',2) }} {{ 12321|replace(2, 9) }} {{ 'é'.replace('', '.') }})~", R"~(HeLLo WorLd HeLlo World -a-b-c- | Hell0 W0rld bba 19391 .é.)~"},
    {R"~({{ 'a-b'.removeprefix('a-') }} {{ 'a-b'.removesuffix('-b') }} {{ 'ab'.center(7,'*') }} {{ 'abc'.center(6,'*') }} {{ 'a'.ljust(3) }}| {{ 'a'.rjust(3,'0') }} {{ '-42'.zfill(6) }} {{ '7'.zfill(3) }})~", R"~(b a ***ab** *abc** a  | 00a -00042 007)~"},
    {R"~({{ 'abc'.isalpha() }} {{ 'a1'.isalnum() }} {{ '12'.isdigit() }} {{ ' '.isspace() }} {{ 'AB'.isupper() }} {{ 'ab1'.islower() }} {{ ''.isdigit() }} {{ '世'.isalpha() }} {{ 'é'.isascii() }})~", R"~(True True True True True True False True False)~"},
    {R"~({{ '%s is %d' % ('x', 5) }} {{ '%05.2f|%x|%5s|%-5s|%%' % (3.14159, 255, 'a', 'b') }} {{ '%s' % n }} {{ '%s %s'|format('a', 'b') }} {{ '%(a)s'|format(a=1) }} {{ '%r' % 'q' }} {{ '%+d' % 5 }} {{ '%s' % [1] }})~", R"~(x is 5 03.14|ff|    a|b    |% 7 a b 1 'q' +5 [1])~"},
    {R"~({{ '{} {}'.format(1, 'a') }} {{ '{0}{1}{0}'.format('a','b') }} {{ '{x}!'.format(x=5) }} {{ '{:>5}|{:<5}|{:^5}|{:05d}|{:.2f}|{:,}'.format('a','b','c',42,3.14159,1234567) }} {{ '{{}}'.format() }} {{ '{:x} {:d} {:s}'.format(255, 3, 'x') }} {{ '{!r}'.format('a') }} {{ '{a.b}'.format(a=d) }})~", R"~(1 a aba 5!     a|b    |  c  |00042|3.14|1,234,567 {} ff 3 x 'a' 1)~"},
    {R"~({{ l|length }} {{ s|length }} {{ d|length }} {{ u|length }} {{ undefinedvar|length }} {{ ''|count }} {{ (1,2)|length }} {{ d.items()|length }})~", R"~(3 11 5 22 0 0 2 5)~"},
    {R"~({{ l|join }} {{ l|join(', ') }} {{ 'abc'|join('-') }} {{ ms|join('|', attribute='role') }} {{ undefinedvar|join }}| {{ d|join(',') }} {{ [none, 1.5, true]|join(' ') }} {{ l|map('string')|join('/') }})~", R"~(312 3, 1, 2 a-b-c system|user|assistant|user | b,a,items,keys,été None 1.5 True 3/1/2)~"},
    {R"~({{ l|first }} {{ l|last }} {{ s|first }} {{ s|last }} {{ el|first }}| {{ el|last }}| {{ el|first is defined }} {{ d|first }} {{ d|last }})~", R"~(3 2 H d | | False b été)~"},
    {R"~({{ l|list }} {{ 'abc'|list }} {{ d|list }} {{ undefinedvar|list }} {{ range(3)|list }} {{ (1,2)|list }})~", R"~([3, 1, 2] ['a', 'b', 'c'] ['b', 'a', 'items', 'keys', 'été'] [] [0, 1, 2] [1, 2])~"},
    {R"~({{ l|sort }} {{ ls|sort }} {{ ls|sort(case_sensitive=true) }} {{ l|sort(reverse=true) }} {{ ms|sort(attribute='role')|map(attribute='role')|list }} {{ [2,1.5,true]|sort }})~", R"~([1, 2, 3] ['a', 'b', 'C'] ['C', 'a', 'b'] [3, 2, 1] ['assistant', 'system', 'user', 'user'] [True, 1.5, 2])~"},
    {R"~({{ l|reverse|list }} {{ s|reverse }} {{ ls|unique|list }} {{ ['a','A','b','a']|unique|list }} {{ ['a','A']|unique(true)|list }} {{ [1,1.0,2,true]|unique|list }})~", R"~([2, 1, 3] dlroW olleH ['b', 'a', 'C'] ['a', 'b'] ['a', 'A'] [1, 2])~"},
    {R"~({{ l|sum }} {{ l|sum(start=10) }} {{ [1.5,2]|sum }} {{ ms|map(attribute='content')|map('length')|sum }} {{ l|min }} {{ l|max }} {{ ls|min }} {{ ls|max }} {{ el|min }}| {{ ls|max(case_sensitive=true) }})~", R"~(6 16 3.5 34 1 3 a C | b)~"},
    {R"~({{ ms|selectattr('role','equalto','user')|list|length }} {{ ms|selectattr('tool_calls')|map(attribute='role')|list }} {{ ms|rejectattr('role','in',['user','system'])|map(attribute='role')|list }} {{ ms|selectattr('tool_calls','defined')|list|length }} {{ ms|selectattr('role','==','system')|first }} {{ ms|rejectattr('tool_calls')|list|length }})~", R"~(2 ['assistant'] ['assistant'] 2 {'role': 'system', 'content': ' sys '} 3)~"},
    {R"~({{ l|select('odd')|list }} {{ l|reject('odd')|list }} {{ [0,1,'',none,'a']|select|list }} {{ l|select('gt', 1)|list }} {{ [0,1,none]|reject|list }} {{ l|select('in',[1,2])|list }} {{ [1,'a',none]|select('string')|list }})~", R"~([3, 1] [2] [1, 'a'] [3, 2] [0, None] [1, 2] ['a'])~"},
    {R"~({{ d|dictsort }} {{ {'b':1,'A':2}|dictsort }} {{ {'b':1,'A':2}|dictsort(true) }} {{ {'b':1,'a':2}|dictsort(by='value') }} {{ {'b':1,'a':2}|dictsort(reverse=true) }})~", R"~([('a', [1, 2, {'x': None}]), ('b', 1), ('items', 'shadow'), ('keys', 5), ('été', 'q"\\/\n')] [('A', 2), ('b', 1)] [('A', 2), ('b', 1)] [('b', 1), ('a', 2)] [('b', 1), ('a', 2)])~"},
    {R"~({{ d|items|list }} {{ undefinedvar|items|list }})~", R"~([('b', 1), ('a', [1, 2, {'x': None}]), ('items', 'shadow'), ('keys', 5), ('été', 'q"\\/\n')] [])~"},
    {R"~({{ 'x'|default('y') }} {{ undefinedvar|default('y') }} {{ e|default('y') }}| {{ e|default('y', true) }} {{ none|default('y') }} {{ none|d('y', boolean=true) }} {{ undefinedvar|default }}| {{ d.nope|default(5) }})~", R"~(x y | y None y | 5)~"},
    {R"~({{ '5'|int }} {{ ' 42 '|int }} {{ 'x'|int }} {{ 'x'|int(7) }} {{ '3.9'|int }} {{ 3.9|int }} {{ -3.9|int }} {{ 'ff'|int(base=16) }} {{ '0x1f'|int(0,16) }} {{ none|int }} {{ true|int }} {{ '1_0'|int }} {{ [1]|int(3) }} {{ '-7'|int }})~", R"~(5 42 0 7 3 3 -3 255 31 0 1 10 3 -7)~"},
    {R"~({{ '5.5'|float }} {{ 'x'|float }} {{ 'x'|float(1.5) }} {{ 3|float }} {{ '1e3'|float }} {{ none|float }} {{ ' 2 '|float }})~", R"~(5.5 0.0 1.5 3.0 1000.0 0.0 2.0)~"},
    {R"~({{ 2.5|round }} {{ 3.5|round }} {{ 2.567|round(2) }} {{ 2.1|round(method='ceil') }} {{ 2.9|round(0,'floor') }} {{ 5|round }} {{ 2.675|round(2) }} {{ -2.5|round }} {{ 0.5|round|int }})~", R"~(2.0 4.0 2.57 3.0 2.0 5 2.67 -2.0 0)~"},
    {R"~({{ -3|abs }} {{ 2.5|abs }})~", R"~(3 2.5)~"},
    {R"~({{ 5|string + 'a' }} {{ none|string }} {{ [1]|string }} {{ true|string }} {{ undefinedvar|string }}|)~", R"~(5a None [1] True |)~"},
    {R"~({{ '<a href="x">&\'</a>'|e }} {{ '<b>'|escape }} {{ '<b>'|safe }} {{ 5|e }})~", R"~(&lt;a href=&#34;x&#34;&gt;&amp;&#39;&lt;/a&gt; &lt;b&gt; <b> 5)~"},
    {R"~({{ ml|indent }} {{ 'a\nb'|indent(2) }} {{ 'a\nb'|indent(2, true) }} {{ 'a\n\nb'|indent(2, false, true) }} {{ 'a\n\nb\n'|indent(2) }}| {{ 'a\nb'|indent('> ') }} {{ ''|indent }}| {{ 'a\nb'|indent(width=3, first=true) }})~", R"~(a
    b
    c

    d a
  b   a
  b a
  
  b a

  b
| a
> b |    a
   b)~"},
    {R"~({{ 'hello world foo bar'|truncate(9) }} {{ 'hello world foo bar'|truncate(9, true) }} {{ 'hello'|truncate(3) }} {{ 'hello world foo bar'|truncate(9, false, '..', 0) }} {{ 'aaaaaaaaaaaaaaaaaaaa'|truncate(10) }})~", R"~(hello... hello ... hello hello.. aaaaaaa...)~"},
    {R"~({{ 'a b,c'|wordcount }} {{ 'a b/c?é'|urlencode }} {{ 'ab'|center(6) }}|)~", R"~(3 a%20b/c%3F%C3%A9   ab  |)~"},
    {R"~({{ [1,2,3,4,5]|batch(2)|list }} {{ [1,2,3]|batch(2,'x')|list }} {{ [1,2,3,4,5]|slice(3)|list }} {{ [1,2,3,4]|slice(3,'x')|list }})~", R"~([[1, 2], [3, 4], [5]] [[1, 2], [3, 'x']] [[1, 2], [3, 4], [5]] [[1, 2], [3, 'x'], [4, 'x']])~"},
    {R"~({{ ms|groupby('role')|list|length }}{% for k, v in ms|groupby('role') %}{{ k }}:{{ v|length }};{% endfor %})~", R"~(3assistant:1;system:1;user:2;)~"},
    {R"~({{ s|attr('upper') is callable }} {{ d|attr('b') is defined }})~", R"~(True False)~"},
    {R"~({{ d|tojson }} {{ ms|tojson }} {{ u|tojson }} {{ none|tojson }} {{ true|tojson }} {{ 1.0|tojson }} {{ (1,'a')|tojson }} {{ {}|tojson }} {{ []|tojson }})~", R"~({"b": 1, "a": [1, 2, {"x": null}], "items": "shadow", "keys": 5, "été": "q\"\\/\n"} [{"role": "system", "content": " sys "}, {"role": "user", "content": "hi", "tool_calls": null}, {"role": "assistant", "content": "<think>\nabc</think>\n\nans", "tool_calls": [{"function": {"name": "f", "arguments": {"x": 1, "y": "z"}}}]}, {"role": "user", "content": "bye"}] "<|im_end|> héllo 世界 \t\n" null true 1.0 [1, "a"] {} [])~"},
    {R"~({{ d|tojson(indent=2) }} {{ d|tojson(indent=4, sort_keys=true) }} {{ u|tojson(ensure_ascii=true) }} {{ '😀\x7f'|tojson(ensure_ascii=true) }} {{ d|tojson(separators=(',',':')) }} {{ l|tojson(indent=0) }} {{ {'a':[],'b':{}}|tojson(indent=2) }} {{ d|tojson(indent='\t') }} {{ d|tojson(indent=none) }} {{ d|tojson(true) }})~", "{\n  \"b\": 1,\n  \"a\": [\n    1,\n    2,\n    {\n      \"x\": null\n    }\n  ],\n  \"items\": \"shadow\",\n  \"keys\": 5,\n  \"\303\251t\303\251\": \"q\\\"\\\\/\\n\"\n} {\n    \"a\": [\n        1,\n        2,\n        {\n            \"x\": null\n        }\n    ],\n    \"b\": 1,\n    \"items\": \"shadow\",\n    \"keys\": 5,\n    \"\303\251t\303\251\": \"q\\\"\\\\/\\n\"\n} \"<|im_end|> h\\u00e9llo \\u4e16\\u754c \\t\\n\" \"\\ud83d\\ude00\\u007f\" {\"b\":1,\"a\":[1,2,{\"x\":null}],\"items\":\"shadow\",\"keys\":5,\"\303\251t\303\251\":\"q\\\"\\\\/\\n\"} [\n3,\n1,\n2\n] {\n  \"a\": [],\n  \"b\": {}\n} {\n\t\"b\": 1,\n\t\"a\": [\n\t\t1,\n\t\t2,\n\t\t{\n\t\t\t\"x\": null\n\t\t}\n\t],\n\t\"items\": \"shadow\",\n\t\"keys\": 5,\n\t\"\303\251t\303\251\": \"q\\\"\\\\/\\n\"\n} {\"b\": 1, \"a\": [1, 2, {\"x\": null}], \"items\": \"shadow\", \"keys\": 5, \"\303\251t\303\251\": \"q\\\"\\\\/\\n\"} {\"b\": 1, \"a\": [1, 2, {\"x\": null}], \"items\": \"shadow\", \"keys\": 5, \"\\u00e9t\\u00e9\": \"q\\\"\\\\/\\n\"}"},
    {R"~({{ {1:2, none:3, true:4, 1.5:6}|tojson }} {{ {'b':1,'a':2}|tojson(sort_keys=True) }} {{ "\x00\x1f\b\f/"|tojson }})~", R"~({"1": 4, "null": 3, "1.5": 6} {"a": 2, "b": 1} "\u0000\u001f\b\f/")~"},
    {R"~({{ s is string }} {{ n is string }} {{ d is mapping }} {{ l is mapping }} {{ l is iterable }} {{ s is iterable }} {{ n is iterable }} {{ d is iterable }} {{ undefinedvar is iterable }} {{ l is sequence }} {{ s is sequence }} {{ d is sequence }} {{ n is sequence }} {{ none is sequence }} {{ none is iterable }} {{ d.items() is sequence }} {{ undefinedvar is sequence }} {{ undefinedvar is mapping }} {{ undefinedvar is string }})~", R"~(True False True False True True False True True True True True False False False False True False False)~"},
    {R"~({{ n is number }} {{ f is number }} {{ b is number }} {{ s is number }} {{ n is integer }} {{ b is integer }} {{ f is integer }} {{ f is float }} {{ n is float }} {{ b is boolean }} {{ n is boolean }} {{ b is true }} {{ 1 is true }} {{ false is false }} {{ e is false }})~", R"~(True True True False True False False True False True False True False True False)~"},
    {R"~({{ z is none }} {{ undefinedvar is none }} {{ z is defined }} {{ undefinedvar is defined }} {{ undefinedvar is undefined }} {{ d.b is defined }} {{ d.q is defined }} {{ d['q'] is defined }} {{ z is not none }} {{ n is not defined }} {{ l[9] is defined }})~", R"~(True False True False True True False False False False False)~"},
    {R"~({{ 3 is odd }} {{ 4 is even }} {{ 9 is divisibleby 3 }} {{ 9 is divisibleby(4) }} {{ 'a' is in 'abc' }} {{ 3 is in l }} {{ 3 is eq 3 }} {{ 3 is equalto(3) }} {{ 3 is gt 2 }} {{ 3 is lessthan 2 }} {{ 3 is sameas 3 }} {{ none is sameas none }} {{ 'abc' is lower }} {{ 'ABC' is upper }} {{ 'x' is escaped }} {{ raise_exception is callable }} {{ 'upper' is filter }} {{ 'odd' is test }} {{ s is ne 'x' }} {{ 2 is ge 2 }} {{ 2 is le 1 }} {{ 'nosuch' is filter }})~", R"~(True True True False True True True True True False True True True True False True True True True True False False)~"},
    {R"~({{ n is string or b }} {{ n is string and b }} {{ 'y' if n is number else 'n' }} {{ not n is string }} {{ n is not string and s is string }})~", R"~(True False y True True)~"},
    {R"~({{ s is not in ['a'] }})~", R"~(True)~"},
    {R"~({{ strftime_now('%d %b %Y %H:%M:%S %A %j %%') }} {{ strftime_now("%Y-%m-%d") }})~", R"~(17 Jan 2026 05:24:24 Saturday 017 % 2026-01-17)~"},
    {R"~({{ range(5)|list }} {{ range(2,5)|list }} {{ range(10,0,-3)|list }} {{ range(0)|list }} {{ range(3) }} {{ range(1,4) }} {{ range(0,10,2) }} {{ range(5)[1] }} {{ range(5)[1:3]|list }} {{ 3 in range(5) }} {{ range(3)|length }})~", R"~([0, 1, 2, 3, 4] [2, 3, 4] [10, 7, 4, 1] [] range(0, 3) range(1, 4) range(0, 10, 2) 1 [1, 2] True 3)~"},
    {R"~({{ dict(a=1, b='c') }} {{ dict({'x':1}, y=2) }} {{ dict([('a',1)]) }} {{ {'a':1,'b':{'c':[1]}}.b.c[0] }} {{ {} }} {{ {'a':1,'a':2} }})~", R"~({'a': 1, 'b': 'c'} {'x': 1, 'y': 2} {'a': 1} 1 {} {'a': 2})~"},
    {R"~({% set ns = namespace(a=1, b='x') %}{{ ns.a }}{% set ns.a = ns.a + 1 %}{% set ns.c = 'new' %}{{ ns.a }}{{ ns.c }}{{ ns.zz }}|{{ ns['a'] }}{{ ns.zz is defined }})~", R"~(12new|2False)~"},
    {R"~({% set ns = namespace({'q': 5}) %}{{ ns.q }}{% for i in range(3) %}{% set ns.q = ns.q + i %}{% endfor %}{{ ns.q }})~", R"~(58)~"},
    {R"~({% set a, b2 = 1, 2 %}{{ a }}{{ b2 }}{% set (p, q) = [3, 4] %}{{ p }}{{ q }}{% set t = 1, %}{{ t }})~", R"~(1234(1,))~"},
    {R"~({% set x %}  block {{ n }} text{% endset %}[{{ x }}]{% set y | upper | trim %} abc {% endset %}[{{ y }}])~", R"~([  block 7 text][ABC])~"},
    {R"~({% for x in l %}{{ x }}{% if not loop.last %},{% endif %}{% endfor %})~", R"~(3,1,2)~"},
    {R"~({% for x in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.depth }}{{ loop.depth0 }};{% endfor %})~", R"~(1032TrueFalse310;2121FalseFalse310;3210FalseTrue310;)~"},
    {R"~({% for x in l %}[{{ loop.previtem }}{{ loop.previtem is defined }}|{{ loop.nextitem }}{{ loop.nextitem is defined }}]{% endfor %})~", R"~([False|1True][3True|2True][1True|False])~"},
    {R"~({% for x in [1,1,2,2,1] %}{{ loop.changed(x) }}{{ loop.cycle('a','b','c') }} {% endfor %})~", R"~(Truea Falseb Truec Falsea Trueb )~"},
    {R"~({% for x in el %}never{% else %}empty{% endfor %}{% for x in undefinedvar %}n{% else %}undef{% endfor %}{% for x in l if x > 5 %}n{% else %}none{% endfor %})~", R"~(emptyundefnone)~"},
    {R"~({% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}{% for k in d %}{{ k }},{% endfor %}{% for k, v in d|items %}{{ loop.index }}{% endfor %})~", R"~(b=1;a=[1, 2, {'x': None}];items=shadow;keys=5;été=q"\/
;b,a,items,keys,été,12345)~"},
    {R"~({% for a, (b1, c) in [(1,(2,3)),(4,[5,6])] %}{{ a }}{{ b1 }}{{ c }} {% endfor %})~", R"~(123 456 )~"},
    {R"~({% for x in l if x is odd %}{{ loop.index }}:{{ x }} {{ loop.length }}{% endfor %})~", R"~(1:3 22:1 2)~"},
    {R"~({% for c in u %}[{{ c }}]{% endfor %})~", "[<][|][i][m][_][e][n][d][|][>][ ][h][\303\251][l][l][o][ ][\344\270\226][\347\225\214][ ][\t][\n]"},
    {R"~({% for x in range(10) %}{% if x == 3 %}{% continue %}{% endif %}{% if x == 6 %}{% break %}{% endif %}{{ x }}{% endfor %}|{% for x in [1] %}{% break %}{% else %}E{% endfor %})~", R"~(01245|E)~"},
    {R"~({% for i in range(2) %}{% for j in range(2) %}{{ loop.depth }}{{ i }}{{ j }}{% if j == 0 %}{% continue %}{% endif %};{% endfor %}{{ loop.index }}{% endfor %})~", R"~(100101;1110111;2)~"},
    {R"~({% for i in range(3) %}{% set outer = loop %}{% for j in range(2) %}{{ outer.index }}{{ loop.index }} {% endfor %}{% endfor %})~", R"~(11 12 21 22 31 32 )~"},
    {R"~({% set x = 1 %}{% for i in range(2) %}{% set x = x + 10 %}{{ x }} {% endfor %}{{ x }})~", R"~(11 11 1)~"},
    {R"~({% if b %}{% set x = 5 %}{% endif %}{{ x }}{% if not b %}{% set y = 5 %}{% endif %}{{ y }}|{{ y is defined }})~", R"~(5|False)~"},
    {R"~({% for m in ms %}{% if m.role == 'user' %}{% set content = m.content|upper %}{% endif %}{{ content }};{% endfor %})~", R"~(;HI;;BYE;)~"},
    {R"~({% for messages in ms %}{{ messages.role }}{% endfor %}{{ messages }})~", R"~(systemuserassistantuser)~"},
    {R"~({% if e %}a{% elif z %}b{% elif n > 5 %}c{% else %}d{% endif %}{% if undefinedvar %}x{% endif %}{% if undefinedvar is not defined %}y{% endif %})~", R"~(cy)~"},
    {R"~({% if ms[0]['role'] == 'system' %}{% set loop_messages = ms[1:] %}{% set sysm = ms[0]['content'] %}{% else %}{% set loop_messages = ms %}{% endif %}{{ loop_messages|length }}{{ sysm }})~", R"~(3 sys )~"},
    {R"~({% macro m(a, b='x', c=none) %}[{{ a }}{{ b }}{{ c }}]{% endmacro %}{{ m(1) }}{{ m(1,2) }}{{ m(1,c=3) }}{{ m(a=5,b=6) }}{{ m() }})~", R"~([1xNone][12None][1x3][56None][xNone])~"},
    {R"~({% macro m(a, b=a) %}{{ a }}{{ b }}{% endmacro %}{{ m(1) }})~", R"~(11)~"},
    {R"~({% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1,2,x=3) }}{{ m() }})~", R"~((1, 2){'x': 3}(){})~"},
    {R"~({% macro f(n) %}{{ n }}{% if n > 0 %}{{ f(n-1) }}{% endif %}{% endmacro %}{{ f(5) }})~", R"~(543210)~"},
    {R"~({% macro o() %}<{{ caller() }}>{% endmacro %}{% call o() %}in{{ n }}{% endcall %})~", R"~(<in7>)~"},
    {R"~({% macro o() %}{% for i in [1,2] %}{{ caller(i, 'k') }}{% endfor %}{% endmacro %}{% call(a, b1) o() %}{{ a }}{{ b1 }};{% endcall %})~", R"~(1k;2k;)~"},
    {R"~({% macro o() %}{{ caller is defined }}{% endmacro %}{{ o() }})~", R"~(False)~"},
    {R"~({% macro m() %}{{ late }}{% endmacro %}{{ m() }}|{% set late = 'L' %}{{ m() }})~", R"~(|L)~"},
    {R"~({% macro m() %}{{ loop is defined }}{% endmacro %}{% for i in [1] %}{{ m() }}{% endfor %})~", R"~(False)~"},
    {R"~({% macro m(x) -%}  a {{ x }}  {%- endmacro %}{{ m(1) ~ m(2) }}{{ m(1)|upper }}{{ m(1)|length }})~", R"~(a 1a 2A 13)~"},
    {R"~({% for i in [1,2] %}{% macro g() %}{{ i }}{% endmacro %}{{ g() }}{% endfor %})~", R"~(12)~"},
    {R"~({% macro m(a, b) %}{{ a }}{{ b }}{% endmacro %}{{ m(*[1,2]) }}{{ m(**{'a':3,'b':4}) }}{{ m(1, *[2]) }})~", R"~(123412)~"},
    {R"~({% filter upper %}abc {{ s }}{% endfilter %}{% filter replace('a','b')|upper %}aXa{% endfilter %})~", R"~(ABC HELLO WORLDBXB)~"},
    {R"~({% with a=1, b1=2 %}{{ a }}{{ b1 }}{% set a = 5 %}{{ a }}{% endwith %}{{ a }}|{% with %}{% set q=1 %}{{ q }}{% endwith %}{{ q }})~", R"~(125|1)~"},
    {R"~({% generation %}gen {{ n }}{% set g = 1 %}{% endgeneration %}{{ g }})~", R"~(gen 7)~"},
    {R"~({% raw %}{{ not }} {% evaluated %}{# nor #}{% endraw %}{%- raw -%}  {{ x }}  {%- endraw -%}  z)~", R"~({{ not }} {% evaluated %}{# nor #}{{ x }}z)~"},
    {R"~(a{# comment #}b{#- c -#} d {#+ e +#}f)~", R"~(abd f)~"},
    {R"~({{ "it's" }} {{ 'say "hi"' }} {{ ["it's", 'say "hi"', 'both\' "'] }} {{ 'a' 'b' }} {{ "\x41\u00e9\U0001F600\t\\\101\q" }} {{ ['\x7f\u200b\u00a0'] }})~", "it's say \"hi\" [\"it's\", 'say \"hi\"', 'both\\' \"'] ab A\303\251\360\237\230\200\t\\A\\q ['\\x7f\\u200b\\xa0']"},
    {R"~({{ 'multi
line' }})~", R"~(multi
line)~"},
    {R"~({{ '\n' }}|{{ "a\
b" }}|)~", R"~(
|ab|)~"},
    {R"~({{ {'a': 1,} }}{{ [1,2,] }}{{ (1,2,) }})~", R"~({'a': 1}[1, 2](1, 2))~"},
    {R"~({{ l.0 }}{{ nested.1.1.0 }}{{ d.a.0 }})~", R"~(341)~"},
    {R"~({{ ms[0].role }}{{ ms[-1]['content'] }}{{ ms[1:][0].role }}{{ ms[::-1][0].content }})~", R"~(systembyeuserbye)~"},
    {R"~({{ '' is none }}{{ ms[1].tool_calls is none }}{{ ms[0].tool_calls is none }}{{ ms[0].tool_calls is defined }}{{ ms[2].tool_calls and true }})~", R"~(FalseTrueFalseFalseTrue)~"},
    {R"~({{ 'abc'|upper|lower|title }}{{ ('a'|upper) ~ 'b' }}{{ -1|abs }}{{ 'a' ~ 'b'|upper }}{{ 1 + 2|string|length }})~", R"~(AbcAb1aB2)~"},
    {R"~({{ joiner is defined }}{% set j = joiner('; ') %}{% for x in l %}{{ j() }}{{ x }}{% endfor %})~", R"~(True3; 1; 2)~"},
    {R"~({{ true and 'x' }}{{ True }}{{ None }}{{ False }}{{ none }})~", R"~(xTrueNoneFalseNone)~"},
    {R"~({{ [1,2,3]|map('string')|list|tojson }})~", R"~(["1", "2", "3"])~"},
    {R"~({% set g = l|map('string') %}{{ g|list }}{{ g|list }}{{ g is iterable }}{{ g is sequence }}{{ true if g else false }}{{ g[0] }}|)~", R"~(['3', '1', '2'][]TrueFalseTrue|)~"},
    {R"~({% set r = l|reverse %}{{ r|first }})~", R"~(2)~"},
    {R"~({% set x = [] %}{% set x = x + [1] %}{% set x = x + [2] %}{{ x }})~", R"~([1, 2])~"},
    {R"~({{ s.upper().lower().split(' ')[0][::-1]|title }})~", R"~(Olleh)~"},
    {R"~({{ (n, s)|first }}{{ (n > 5) ~ '' }}{{ n == 7 and s == 'Hello World' }})~", R"~(7TrueTrue)~"},
    {R"~({{ 1.5|int + 1 }}{{ '%.3f' % 2 }}{{ 5 // 2.0 }}{{ 1e100 }}{{ 1e400 }}{{ -1e400 }})~", R"~(22.0002.01e+100inf-inf)~"},
    {R"~({{ 0.1 + 0.2 }}{{ 100000000000000000.0 }}{{ 1234567890123456.0 }}{{ 12345678901234567.0 }}{{ 0.0001 }}{{ 0.00001 }}{{ 5e-324 }}{{ 1.0e0 }})~", R"~(0.300000000000000041e+171234567890123456.01.2345678901234568e+160.00011e-055e-3241.0)~"},
    {R"~({{ 'é' < 'z' }}{{ 'a'.upper() == 'A' }}{{ '世界'[1] }}{{ '世界'|length }}{{ '世界'|reverse }}{{ '世界'|list }})~", R"~(FalseTrue界2界世['世', '界'])~"},
    {R"~({% set content = '<|User|>' + u + '<|end|>' %}{{ content }}{{ content[::-1] }}{{ content|upper }})~", "<|User|><|im_end|> h\303\251llo \344\270\226\347\225\214 \t\n<|end|>>|dne|<\n\t \347\225\214\344\270\226 oll\303\251h >|dne_mi|<>|resU|<<|USER|><|IM_END|> H\303\211LLO \344\270\226\347\225\214 \t\n<|END|>"},
    {R"~({{ ms|selectattr('role','equalto','user')|map(attribute='content')|join('\n') }})~", R"~(hi
bye)~"},
    {R"~({{ (ms|selectattr('role','equalto','user')|list)[-1].content }}{{ (ms|last).content }}{{ ms|map(attribute='role')|unique|join(',') }})~", R"~(byebyesystem,user,assistant)~"},
    {R"~({% for m in ms %}{{ m.role if m.role in ('user','assistant') else 'other' }}{{ ' ' if not loop.last }}{% endfor %})~", R"~(other user assistant user)~"},
    {R"~({% for k, v in (ms[2].tool_calls[0].function.arguments).items() %}{{ k }}:{{ v|tojson }}{{ ',' if not loop.last else '' }}{% endfor %})~", R"~(x:1,y:"z")~"},
    {R"~({{ ms[2].tool_calls[0].function.arguments.items() | map('join', '=') | join('&') }})~", R"~(x=1&y=z)~"},
    {R"~({%- set a = namespace() -%}{%- set a.x = [] -%}{%- set a.x = a.x + ['q'] -%}{{ a.x|join }}{{ a }})~", R"~(q<Namespace {'x': ['q']}>)~"},
    {R"~({{ not (ms[0].role == 'system') }}{{ (1 if b else 2) + 3 }}{{ -(3) }}{{ - n ** 2 }})~", R"~(False4-349)~"},
    {R"~({{ s | replace("World", "there") | trim | length }}{{ ("a" if true else "b") | upper }})~", R"~(11A)~"},
    {R"~({{ d | string }}{{ d | length > 2 }}{{ 'x' in d.a }}{{ d.a | length }})~", R"~({'b': 1, 'a': [1, 2, {'x': None}], 'items': 'shadow', 'keys': 5, 'été': 'q"\\/\n'}TrueFalse3)~"},
    {R"~({{ {'x': undefinedvar} }}{{ [undefinedvar] }}{{ (undefinedvar,)|length }})~", R"~({'x': Undefined}[Undefined]1)~"},
    {R"~({{ undefinedvar | first }}| {{ undefinedvar|sort }} {{ undefinedvar|unique|list }} {{ undefinedvar|reverse|list }} {{ undefinedvar|sum }})~", R"~(| [] [] [] 0)~"},
    {R"~({{ none|replace('o','x') }}{{ none|capitalize }}{{ none|title }}{{ none|default('q') }})~", R"~(NxneNoneNoneNone)~"},
    {R"~({{ s.nosuch }}|)~", R"~(|)~"},
    {R"~({{ f.is_integer() }}{{ 2.0.is_integer() }})~", R"~(FalseTrue)~"},
    {R"~({% set _ = none %}{{ _ }}{% set __x = 3 %}{{ __x }})~", R"~(None3)~"},
    {R"~({{ ms|map(attribute='content')|select('string')|map('trim')|list }})~", R"~(['sys', 'hi', '<think>\nabc</think>\n\nans', 'bye'])~"},
    {R"~({% if 'tool_calls' in ms[2] and ms[2]['tool_calls'] %}T{% endif %}{% if ms[1].tool_calls is defined and ms[1].tool_calls is not none %}U{% else %}V{% endif %})~", R"~(TV)~"},
    {R"~({% set ns = namespace(found=false) %}{% for m in ms %}{% if m.role == 'user' and not ns.found %}{% set ns.found = true %}{{ loop.index0 }}{% endif %}{% endfor %}{{ ns.found }})~", R"~(1True)~"},
    {R"~({% for m in ms[::-1] %}{% set i = ms|length - 1 - loop.index0 %}{{ i }}{{ m.role }} {% endfor %})~", R"~(3user 2assistant 1user 0system )~"},
    {R"~({{ (1, 2) is sequence }}{{ 'a' is sequence }}{{ (1,2) is iterable }}{{ {}.keys() is iterable }})~", R"~(TrueTrueTrueTrue)~"},
    {R"~({{ 1 is number and 1.0 is number and true is number }}{{ 'a' is number }})~", R"~(TrueFalse)~"},
    {R"~({{ [3,1,2]|sort|first }}{{ [[2,'b'],[1,'a']]|sort }}{{ {'b':2,'a':1}|dictsort|first|first }})~", R"~(1[[1, 'a'], [2, 'b']]a)~"},
    {R"~({{ [{'n':2},{'n':1}]|sort(attribute='n')|map(attribute='n')|list }}{{ [{'n':2},{'n':1}]|max(attribute='n') }}{{ [{'n':2},{'n':1}]|sum(attribute='n') }})~", R"~([1, 2]{'n': 2}3)~"},
    {R"~({{ 'x'.join(['<', u, '>']) }}{{ [u, 'b']|join('<|sep|>') }})~", "<x<|im_end|> h\303\251llo \344\270\226\347\225\214 \t\nx><|im_end|> h\303\251llo \344\270\226\347\225\214 \t\n<|sep|>b"},
    {R"~({%- for tool in [{'type':'function','function':{'name':'f','parameters':{'type':'object','properties':{'a':{'type':['string','null']}}}}}] %}{{ tool.function.name }}{% for p, fields in tool.function.parameters.properties.items() %}{{ p }}{{ fields.type|join('|') }}{{ fields.type is string }}{{ fields.type is iterable }}{% endfor %}{% endfor %})~", R"~(fastring|nullFalseTrue)~"},
    {R"~({{ '%s' | format(none) }}{{ '%s-%s' | format('a', 1.0) }})~", R"~(Nonea-1.0)~"},
    {R"~({{ 'ab\n' 'cd' | indent(2) }})~", R"~(ab
  cd)~"},
    {R"~({{ "a" "b" ~ "c" }})~", R"~(abc)~"},
    {R"~({%if n%}x{%endif%}{{n}}{{-n}}{{ n-1 }}{{n -1}})~", R"~(x7766)~"},
    {R"~({% set x = "a" if false %}{{ x is defined }}{{ x }}|)~", R"~(False|)~"},
    {R"~({{ ms | length - 1 }}{{ ms|length == 4 }}{{ (ms|length) % 2 == 0 }})~", R"~(3TrueTrue)~"},
    {R"~({{ ('user' == ms[1].role) != (1 % 2 == 0) }})~", R"~(True)~"},
    {R"~({{ 9999999999999999999999 }}{{ 2**70 }}{{ big * 2 }})~", R"~(9999999999999999999999118059162071741130342436893488147419103230)~"},
    {R"~({{ d.__len__ }}|{{ d['__len__'] }}|)~", R"~(||)~"},
    {R"~({{ s[1.5] }}| {{ s['0'] }}| {{ s[true] }} {{ l[true] }} {{ l[1.0] }}|)~", R"~(| | e 1 |)~"},
    {R"~(  {% if true %}
  x
  {% endif %}
  y
)~", R"~(  x
  y)~"},
    {R"~(a
  {%- if true -%}
  x
  {%- endif -%}
  y

)~", R"~(axy
)~"},
    {R"~(a
  {%+ if true %}
  x
  {%+ endif +%}
  y)~", R"~(a
    x
  
  y)~"},
    {R"~(  {{ n }}  
  {{- n -}}  
 z)~", R"~(  77z)~"},
    {R"~({% for x in l %}
  - {{ x }}
{% endfor %}
end
)~", R"~(  - 3
  - 1
  - 2
end)~"},
    {R"~({% for x in l -%}
  - {{ x }}
{%- endfor %}
end

)~", R"~(- 3- 1- 2end
)~"},
    {R"~(  {# c #}  
  x {# d #}
y
{# e #}

z)~", R"~(  
  x y

z)~"},
    {"\t{% set a = 1 %}\n\t {{ a }}\n", "\t 1"},
    {R"~(x {% if true %}
y{% endif %}
)~", R"~(x y)~"},
    {R"~({% if true %}  
 x{% endif %})~", R"~(  
 x)~"},
    {"line1\r\n{% if true %}\r\nline2\r\n{% endif %}\r\nline3\r", R"~(line1
line2
line3)~"},
    {"{{ 'a\r\nb' }}\n\n", R"~(a
b
)~"},
    {R"~({%- set x %}
  body
  {% endset -%}
[{{ x }}])~", R"~([  body
])~"},
    {R"~({% macro m() %}
  in
{% endmacro %}
{{ m() }}
)~", R"~(  in
)~"},
    {R"~({% raw %}
 {{ x }}
 {% endraw %}
 z)~", R"~(
 {{ x }}
 z)~"},
    {R"~(a {%- raw %} b {% endraw -%} c)~", R"~(a b c)~"},
    {R"~({{ '\n' -}}

  x)~", R"~(
x)~"},
    {R"~(   {{- 'a' }}
   {{ 'b' -}}   
   c)~", R"~(a
   bc)~"},
    {R"~({%- if true %}


x
{%- endif %}

y)~", R"~(

x
y)~"},
    {R"~(

{% if true %}
x
{% endif %}

)~", R"~(

x
)~"},
    {R"~({{ n }}
{% if true %}a{% endif %} 
  b)~", R"~(7
a 
  b)~"},
    {"  \302\240{% if true %}x{% endif %}", R"~(x)~"},
    {R"~({#-
 multi
 line -#}
  x
  {#+ keep +#}
 y)~", R"~(x
  
 y)~"},
    {R"~({% if true -%}   a   {%- endif %}
)~", R"~(a)~"},
    {R"~({%- for m in ms %}
    {%- if m.role == 'user' %}
        {{- '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}
    {%- endif %}
{%- endfor %}
)~", R"~(<|im_start|>user
hi<|im_end|>
<|im_start|>user
bye<|im_end|>
)~"},
    {R"~({{'x'}}{%if true%}{{-'y'}}{%endif%}

{{-'z'-}}
)~", R"~(xyz)~"},
    {R"~({% if true %}{# c #}
{% endif %}
q)~", R"~(q)~"},
    {R"~(a
 {% raw %}r{% endraw %}
b)~", R"~(a
rb)~"},
    {R"~(text { not } {% if true %}{ {{ '}' }} }{% endif %} %} }} #})~", R"~(text { not } { } } %} }} #})~"},
    {R"~({{ '{{' }}{{ "%}" }}{{ '{%' ~ '}}' }})~", R"~({{%}{%}})~"},
    {R"~({{ {'a':{'b':1}}}}|{{ {'a':{}}['a'] }})~", R"~({'a': {'b': 1}}|{})~"},
    {R"~({{-1}}{{ - 1 }}{{ +1 }})~", R"~(1-11)~"},
};

TEST_F(JinjaRender, TextIsJinjas) {
  for (const auto& [source, expected] : kRenders) {
    const auto text = Render(source, context_);
    ASSERT_TRUE(text.ok()) << source << "\n" << text.status();
    EXPECT_EQ(*text, expected) << source;
  }
}

}  // namespace
}  // namespace swiftlet::jinja
