// Every path of the HTTP door, by its own tables, in every way of writing it: nothing but the probes without a key.
#include <absl/strings/ascii.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_format.h>
#include <absl/strings/str_replace.h>
#include <gmock/gmock.h>

#include <algorithm>
#include <iterator>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "engine/base/string_view.h"
#include "tests/services/gateway/front_fixture.h"

namespace swiftlet {
namespace {

constexpr char kWalkersKey[] = "key-of-the-search-team";
constexpr const char* kMethods[] = {"GET",     "HEAD",  "POST",    "PUT",   "PATCH", "DELETE",
                                    "OPTIONS", "TRACE", "CONNECT", "PURGE", "get"};

class RouteWalk : public testing::Test {
 protected:
  RouteWalk() : front_([](const ValidRequest&) { return TextScript({"x"}); }, {}, false, {kWalkersKey}) {
    const auto with_names = [](std::string path) {
      for (size_t begin = path.find('{'); begin != std::string::npos; begin = path.find('{')) {
        path.replace(begin, path.find('}', begin) + 1 - begin, "tiny");
      }
      return path;
    };
    for (const ListedRoute& route : HttpRoutes::List()) {
      (route.open ? open_ : closed_).push_back({with_names(std::string(route.path)), {std::string(route.method)}});
    }
    const BindingTable bindings = InferenceBindings();
    for (const Binding& binding : bindings.bindings())
      closed_.push_back({with_names(binding.route), {binding.http_method}});
  }

  int Ask(std::string_view method, std::string_view target, std::string_view headers = "") {
    for (int attempt = 0; attempt < 2; ++attempt) {
      if (!client_.has_value()) client_.emplace(front_.Connect());
      client_->Send(MakeHttpRequest(method, target, "", headers));
      if (const auto answer = client_->Read(method == "HEAD")) return answer->status;
      client_.reset();  // an earlier answer closed it
    }
    return 0;
  }

  struct Path {
    std::string path;
    std::vector<std::string> methods;
  };
  Front front_;
  std::optional<HttpClient> client_;
  std::vector<Path> open_;
  std::vector<Path> closed_;
};

// `path` written in ways that some server or proxy takes for the same.
std::vector<std::string> WaysToWrite(const std::string& path) {
  const std::string last = path.substr(path.rfind('/'));
  const auto encoded = [&](size_t at) {
    return absl::StrCat(path.substr(0, at), absl::StrFormat("%%%02x", path[at]), path.substr(at + 1));
  };
  std::string upper = path;
  std::transform(upper.begin(), upper.end(), upper.begin(), [](unsigned char c) { return absl::ascii_toupper(c); });
  std::vector<std::string> ways = {path,
                                   path + "?x=y",
                                   path + "/",
                                   path + "//",
                                   "/" + path,
                                   "/." + path,
                                   "/x/.." + path,
                                   "/health/.." + path,
                                   "/health/%2e%2e" + path,
                                   "/health%2f.." + path,
                                   "/livez/%2E%2e%2f" + path,
                                   "/health;" + path,
                                   "/health?" + path,
                                   "/health%00" + path,
                                   "/health%3f" + path,
                                   "/readyz#" + path,
                                   absl::StrReplaceAll(path, {{"/", "//"}}),
                                   absl::StrReplaceAll(path, {{"/", "/./"}}),
                                   "/" + absl::StrReplaceAll(path.substr(1), {{"/", "%2f"}}),
                                   "/" + absl::StrReplaceAll(path.substr(1), {{"/", "\\"}}),
                                   path + "/..",
                                   path + "/../" + last,
                                   path + "%00",
                                   path + "%20",
                                   path + ";x=y",
                                   path + ".",
                                   path + "%2e",
                                   path + ":cancel",
                                   encoded(1),
                                   encoded(path.size() - 1),
                                   absl::StrReplaceAll(encoded(1), {{"%", "%25"}})};
  if (upper != path) ways.push_back(upper);
  return ways;
}

TEST_F(RouteWalk, NothingButProbesAnswersWithoutAKey) {
  std::vector<std::string> open;
  std::set<std::string> open_targets;
  for (const Path& route : open_) {
    open.push_back(route.path);
    for (const char* rest : {"", "?x=y"}) open_targets.insert(route.path + rest);
  }
  EXPECT_THAT(open, testing::UnorderedElementsAre("/health", "/livez", "/readyz"));
  EXPECT_GE(closed_.size(), 6u);
  int num_asked = 0;
  for (const std::vector<Path>& routes : {open_, closed_}) {
    for (const Path& route : routes) {
      for (const std::string& target : WaysToWrite(route.path)) {
        // "/health?..." is the probe, whatever its query says.
        const bool probe = open_targets.contains(target) || open_targets.contains(target.substr(0, target.find('?')));
        const std::vector<const char*> methods =
            target == route.path ? std::vector<const char*>(std::begin(kMethods), std::end(kMethods))
                                 : std::vector<const char*>{"GET", "POST"};
        for (const char* method : methods) {
          const int status = Ask(method, target);
          ++num_asked;
          if (probe) {
            EXPECT_TRUE(status == 200 || status == 405) << method << " " << target << ": " << status;
          } else {  // 400: no HTTP at all
            EXPECT_TRUE(status == 401 || status == 400) << method << " " << target << ": " << status;
          }
        }
      }
    }
  }
  EXPECT_GT(num_asked, 500);
  EXPECT_TRUE(front_.generator.requests().empty());
}

TEST_F(RouteWalk, AKeyCountsInItsOwnHeaderAlone) {
  const std::string key = kWalkersKey;
  for (const Path& route : closed_) {
    for (const std::string& headers : std::vector<std::string>{
             "X-Api-Key: " + key, "Cookie: authorization=Bearer " + key, "Authorization: " + key,
             "Authorization: Basic " + key, "Authorization: Bearer " + key + "x",
             "Authorization: Bearer " + key.substr(1), "Authorization: Bearer", "Proxy-Authorization: Bearer " + key,
             "X-Forwarded-Path: /health", "X-Original-URL: /health", "X-HTTP-Method-Override: GET"}) {
      EXPECT_EQ(Ask(route.methods[0], route.path, headers + "\r\n"), 401) << route.path << " " << headers;
    }
    EXPECT_EQ(Ask(route.methods[0], route.path + "?api_key=" + key + "&authorization=Bearer%20" + key), 401);
    // And these walks would see an answer if there were one.
    const int status = Ask(route.methods[0], route.path, "Authorization: Bearer " + key + "\r\n");
    EXPECT_TRUE(status != 0 && status != 401 && status != 404) << route.path << ": " << status;
  }
}

TEST_F(RouteWalk, PlaygroundIsOneOpenPathAndOnlyWhereAskedFor) {
  const auto check = [&](bool playground, std::string_view method, std::string_view path) {
    HttpRoutes routes(front_.api, front_.keys, front_.health, &front_.transcoder, playground);
    HttpRequest head;
    head.method = method;
    head.path = path;
    const std::optional<HttpResponse> refusal = routes.Check(head);
    return refusal.has_value() ? refusal->status : 200;
  };
  EXPECT_EQ(check(true, "GET", "/"), 200);
  EXPECT_EQ(check(true, "HEAD", "/"), 200);
  EXPECT_EQ(check(true, "POST", "/"), 405);
  for (const char* path :
       {"//", "/.", "/%2f", "/index.html", "/playground", "", "/v1/models", "/v1/chat/completions"}) {
    EXPECT_EQ(check(true, "GET", path), 401) << path;
  }
  EXPECT_EQ(check(false, "GET", "/"), 401);
  EXPECT_EQ(HttpRoutes::List(true).size(), HttpRoutes::List().size() + 1);
}

TEST_F(RouteWalk, PathsThatAreNotThereDoNotTellSo) {
  for (const char* target :
       {"/", "/metrics", "/docs", "/openapi", "/v2/models", "/v1", "/v1/", "/swiftlet/v1/x", "/admin",
        "/swiftlet.v1.InferenceService/Chat", "/grpc.health.v1.Health/Check", "/.well-known/x"}) {
    for (const char* method : {"GET", "POST", "OPTIONS"}) {
      EXPECT_EQ(Ask(method, target), 401) << method << " " << target;
    }
  }
}

}  // namespace
}  // namespace swiftlet
