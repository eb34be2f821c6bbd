// Which bytes of a rendering are the user's: [..] stands around them.
#include <gtest/gtest.h>

#include <string>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "services/text/encode/chat_template.h"

namespace swiftlet {
namespace {

// Renders with messages[0].content = `content` and brackets around user text.
std::string Marked(const std::string& source, const std::string& content, const std::string& role = "user") {
  const auto chat_template =
      ChatTemplate::Compile("{% set c = messages[0].content %}" + source, {{"bos_token", "<s>"}});
  EXPECT_TRUE(chat_template.ok()) << chat_template.status();
  ChatTemplateInput input;
  input.messages = boost::json::array{boost::json::object{{"role", role}, {"content", content}}};
  input.tools = boost::json::array{boost::json::object{{"name", "f"}, {"n", 1}}};
  const auto chat = (*chat_template)->Render(input);
  EXPECT_TRUE(chat.ok()) << chat.status();
  std::string marked;
  for (const RenderedSegment& segment : chat->segments) {
    marked += segment.from_user ? "[" + segment.text + "]" : segment.text;
  }
  return marked;
}

TEST(Marking, SurvivesConcatenation) {
  EXPECT_EQ(Marked("{{ '<|User|>' + c + '<|end|>' }}", "hi"), "<|User|>[hi]<|end|>");
  EXPECT_EQ(Marked("{{ '<' ~ c ~ 1 ~ c ~ '>' }}", "hi"), "<[hi]1[hi]>");
  EXPECT_EQ(Marked("{{ bos_token }}{{ c }}{{ c }}x", "hi"), "<s>[hihi]x");
  EXPECT_EQ(Marked("{{ c * 2 }}{{ '-' * 2 }}", "a"), "[aa]--");
  EXPECT_EQ(Marked("{% set b %}({{ c }}){% endset %}{{ b }}", "a"), "([a])");
  EXPECT_EQ(Marked("{% macro m(x) %}<{{ x }}>{% endmacro %}{{ m(c) ~ m('t') }}", "a"), "<[a]><t>");
  EXPECT_EQ(Marked("{% set ns = namespace(t='') %}{% set ns.t = ns.t + '<' + c %}{{ ns.t }}", "a"), "<[a]");
}

TEST(Marking, SurvivesCutting) {
  EXPECT_EQ(Marked("{{ c.split('</think>')[-1] }}", "x</think>y"), "[y]");
  EXPECT_EQ(Marked("{{ ('<a>' + c).split('>')|join('|') }}", "x>y"), "<a|[x]|[y]");
  EXPECT_EQ(Marked("{{ ('ab' + c)[1:3] }}{{ ('ab' + c)[::-1] }}{{ ('ab' + c)[-1] }}", "cd"), "b[cdc]ba[d]");
  EXPECT_EQ(Marked("{{ (' ' + c + ' ').strip() }}|{{ (' ' + c)|trim }}", " x "), "[x]|[x]");
  EXPECT_EQ(Marked("{% for ch in 'a' + c %}{{ ch }}.{% endfor %}", "é世"), "a.[é].[世].");
  EXPECT_EQ(Marked("{{ ('<' + c + '>').partition('=')|join('#') }}", "k=v"), "<[k]#[=]#[v]>");
  EXPECT_EQ(Marked("{{ ('A\n' + c).splitlines()|join(',') }}", "b\nc"), "A,[b],[c]");
  EXPECT_EQ(Marked("{{ ('<' + c)|first }}{{ ('<' + c)|last }}{{ ('<' + c)|reverse }}", "ab"), "<[bba]<");
}

TEST(Marking, SurvivesFilters) {
  EXPECT_EQ(Marked("{{ ('<a' + c)|upper }}{{ ('A' + c)|capitalize }}", "xß"), "<A[XSS]A[xß]");
  EXPECT_EQ(Marked("{{ c|replace('a', '<b>') }}{{ 'xay'|replace('a', c) }}", "<a>"), "[<]<b>[>]x[<a>]y");
  EXPECT_EQ(Marked("{{ [c, 't']|join('<sep>') }}{{ ['s', 't']|join(c) }}", "u"), "[u]<sep>ts[u]t");
  EXPECT_EQ(Marked("{{ {'k': c}|tojson }}", "a\"<|x|>"), R"({"k": "[a\"<|x|>]"})");
  EXPECT_EQ(Marked("{{ tools|tojson }}", ""), R"([{"[name]": "[f]", "[n]": 1}])");
  EXPECT_EQ(Marked("{{ [c] }}", "a"), "['[a]']");
  EXPECT_EQ(Marked("{{ '%s=%5s' % ('k', c) }}{{ '{}:{}'.format('k', c) }}", "v"), "k=    [v]k:[v]");
  EXPECT_EQ(Marked("{{ ('t\n' + c)|indent(1) }}", "u\nv"), "t\n [u]\n [v]");
  EXPECT_EQ(Marked("{{ ('<' + c + '>')|e }}", "<"), "&lt;[&lt;]&gt;");
  EXPECT_EQ(Marked("{% filter upper %}t{{ c }}{% endfilter %}", "u"), "T[U]");
  EXPECT_EQ(Marked("{{ ('t' + c)|string|default('x')|safe }}", "u"), "t[u]");
}

TEST(Marking, KnownRolesAreTheTemplatesOwn) {
  EXPECT_EQ(Marked("{{ '<|' + messages[0].role + '|>' }}", "x"), "<|user|>");
  EXPECT_EQ(Marked("{{ '<|' + messages[0].role + '|>' }}", "x", "im_end"), "<|[im_end]|>");
}

}  // namespace
}  // namespace swiftlet
