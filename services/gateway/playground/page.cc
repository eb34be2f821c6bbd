#include "services/gateway/playground/page.h"

#include <absl/strings/escaping.h>
#include <absl/strings/str_cat.h>

#include <string_view>

#include "engine/base/check.h"
#include "engine/base/string_view.h"
#include "services/common/model_files.h"
#include "services/gateway/playground/index_html.h"

namespace swiftlet {
namespace {

// 'sha256-...' of what stands between <tag> and </tag>: the one inline script, the one inline style sheet that may act.
std::string HashSource(std::string_view page, std::string_view tag) {
  const std::string open = absl::StrCat("<", ToAbsl(tag), ">");
  const size_t begin = page.find(open);
  const size_t end = page.find(absl::StrCat("</", ToAbsl(tag), ">"));
  CHECK(begin != std::string_view::npos && begin < end && page.find(open, begin + 1) == std::string_view::npos)
      << "index.html must have one " << tag;
  const std::string_view inside = page.substr(begin + open.size(), end - begin - open.size());
  return absl::StrCat("'sha256-", absl::Base64Escape(absl::HexStringToBytes(Sha256Hex(inside))), "'");
}

}  // namespace

HttpResponse PlaygroundPage() {
  HttpResponse page;
  page.content_type = "text/html; charset=utf-8";
  page.body = kIndexHtml;
  page.headers = {
      {"Content-Security-Policy",
       absl::StrCat("default-src 'none'; connect-src 'self'; img-src data:; script-src ",
                    HashSource(page.body, "script"), "; style-src ", HashSource(page.body, "style"),
                    "; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")},
      {"X-Content-Type-Options", "nosniff"},
      {"Referrer-Policy", "no-referrer"},
      {"Cache-Control", "no-cache"},  // a newer gateway may have another page
  };
  return page;
}

}  // namespace swiftlet
