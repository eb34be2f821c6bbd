// Templates made to hurt: each ends with an error, soon, and without a deep stack.
#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "services/text/encode/jinja_interpreter.h"
#include "services/text/encode/jinja_parser.h"

namespace swiftlet::jinja {
namespace {

std::string Repeat(const std::string& piece, int count) {
  std::string text;
  for (int i = 0; i < count; ++i) text += piece;
  return text;
}

// Under smaller limits than the product's, for the test's own speed.
absl::StatusOr<std::string> RenderBounded(const std::string& source) {
  const Limits limits{
      .steps = 500'000, .string_bytes = size_t{2} << 20, .created_bytes = size_t{16} << 20, .list_items = 100'000};
  auto program = Parse(source, limits);
  if (!program.ok()) return program.status();
  Runtime runtime(limits, absl::CivilSecond(2026, 1, 17));
  auto text = Interpreter(*program, runtime).Run({});
  if (!text.ok()) return text.status();
  return text->bytes;
}

void ExpectRefused(const std::string& source, const std::string& what) {
  const auto start = std::chrono::steady_clock::now();
  const auto text = RenderBounded(source);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  EXPECT_FALSE(text.ok()) << source.substr(0, 80);
  EXPECT_NE(std::string(text.status().message()).find(what), std::string::npos) << text.status();
  EXPECT_LT(seconds.count(), 10.0) << source.substr(0, 80);  // some tenths of a second; sanitizers take longer
}

TEST(HostileTemplate, NestingInTheSourceIsBounded) {
  ExpectRefused("{{ " + Repeat("(", 5000) + "1" + Repeat(")", 5000) + " }}", "nested");
  ExpectRefused("{{ " + Repeat("[", 5000) + "1" + Repeat("]", 5000) + " }}", "nested");
  ExpectRefused("{{ " + Repeat("{1:", 5000) + "1" + Repeat("}", 5000) + " }}", "nested");
  ExpectRefused("{{ " + Repeat("-", 5000) + "1 }}", "nested");
  ExpectRefused("{{ " + Repeat("not ", 5000) + "1 }}", "nested");
  ExpectRefused("{{ 1" + Repeat(" + 1", 100000) + " }}", "levels");
  ExpectRefused("{{ a" + Repeat(".b", 100000) + " }}", "levels");
  ExpectRefused("{{ a" + Repeat("|trim", 100000) + " }}", "levels");
  ExpectRefused("{{ " + Repeat("1 if 1 else ", 5000) + "1 }}", "nested");
  ExpectRefused("{% set " + Repeat("(", 5000) + "a" + Repeat(")", 5000) + " = 1 %}", "nested");
  ExpectRefused(Repeat("{% if 1 %}", 1000) + Repeat("{% endif %}", 1000), "nested");
  ExpectRefused(Repeat("{% for x in y %}", 10000), "nested");
  ExpectRefused(Repeat("{% macro m() %}", 10000), "nested");
}

TEST(HostileTemplate, LongSourceIsReadInLinearTime) {
  EXPECT_EQ(*RenderBounded("{# " + Repeat("c", 1 << 20) + " #}x"), "x");
  EXPECT_EQ(*RenderBounded("{{ '" + Repeat("s", 1 << 20) + "'|length }}"), std::to_string(1 << 20));
  EXPECT_EQ(*RenderBounded("{% if 0 %}" + Repeat("{% elif 0 %}", 50000) + "{% endif %}y"), "y");
  EXPECT_EQ(*RenderBounded(Repeat("{ ", 1 << 19) + "#"), Repeat("{ ", 1 << 19) + "#");
  ExpectRefused(Repeat("{# ", 1 << 18), "comment");
  ExpectRefused("{% raw %}" + Repeat("{% ", 1 << 18), "raw");
  ExpectRefused(Repeat("x", 3 << 20), "longer");
}

TEST(HostileTemplate, RecursionIsBounded) {
  ExpectRefused("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "deep");
  ExpectRefused("{% macro m() %}{% for i in [1] %}{% if 1 %}{{ [m()] }}{% endif %}{% endfor %}{% endmacro %}{{ m() }}",
                "deep");
  ExpectRefused("{% macro m() %}{% call m() %}{{ caller() }}{% endcall %}{% endmacro %}{{ m() }}", "deep");
  ExpectRefused("{% set n = namespace(x=[]) %}{% for i in range(1000) %}{% set n.x = [n.x] %}{% endfor %}{{ n.x }}",
                "deep");
  ExpectRefused("{% set n = namespace(x={}) %}{% for i in range(1000) %}{% set n.x = {'a': n.x} %}{% endfor %}",
                "deep");
  ExpectRefused("{% set n = namespace() %}{% set n.self = n %}{{ n }}", "itself");
  ExpectRefused("{% set n = namespace() %}{% set n.self = [n] %}{{ n.self|string }}", "itself");
}

TEST(HostileTemplate, WorkIsBounded) {
  ExpectRefused("{% for i in range(10000000) %}{% endfor %}", "range()");
  ExpectRefused("{% for i in range(10**30) %}{% endfor %}", "range()");
  ExpectRefused("{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}", "steps");
  ExpectRefused("{% for i in range(100000) %}{% set x = range(100000) %}{% endfor %}", "steps");
  ExpectRefused("{% macro f(n) %}{% if n %}{{ f(n-1) }}{{ f(n-1) }}{% endif %}{% endmacro %}{{ f(40) }}", "steps");
}

TEST(HostileTemplate, MemoryIsBounded) {
  const std::string doubling = "{% set n = namespace(s='aaaaaaaa') %}{% for i in range(60) %}";
  ExpectRefused(doubling + "{% set n.s = n.s + n.s %}{% endfor %}", "bytes");
  ExpectRefused(doubling + "{% set n.s = n.s ~ n.s %}{% endfor %}", "bytes");
  ExpectRefused(doubling + "{% set n.s = n.s|replace('a', 'aaaa') %}{% endfor %}", "bytes");
  ExpectRefused(doubling + "{% set n.s = n.s.join([n.s, n.s]) %}{% endfor %}", "bytes");
  ExpectRefused(doubling + "{% set n.s = n.s.join(n.s) %}{% endfor %}", "bytes");
  ExpectRefused(doubling + "{% set n.s = '%s%s' % (n.s, n.s) %}{% endfor %}", "bytes");
  ExpectRefused(doubling + "{% set n.s = '{0}{0}'.format(n.s) %}{% endfor %}", "bytes");
  ExpectRefused(doubling + "{% set n.s %}{{ n.s }}{{ n.s }}{% endset %}{% endfor %}", "bytes");
  ExpectRefused("{{ 'a' * 10**12 }}", "bytes");
  ExpectRefused("{{ [1] * 10**12 }}", "items");
  ExpectRefused("{{ 'a'.center(10**12) }}", "bytes");
  ExpectRefused("{{ 'a'|indent(10**9) }}", "bytes");
  ExpectRefused("{{ '%1000000000s' % 'a' }}", "width");
  ExpectRefused("{{ '{:>1000000000}'.format('a') }}", "width");
  ExpectRefused("{{ 10 ** 10 ** 10 }}", "bits");
  ExpectRefused("{% for i in range(100000) %}{{ 'a' * 100000 }}{% endfor %}", "bytes");
  ExpectRefused("{% set n = namespace(l=[1]) %}{% for i in range(60) %}{% set n.l = n.l + n.l %}{% endfor %}", "items");
  ExpectRefused("{{ ('a' * 1500000)|list }}", "walk");
}

}  // namespace
}  // namespace swiftlet::jinja
