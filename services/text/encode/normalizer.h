// The "normalizer" of a tokenizer.json: what is done to a stretch of ordinary text before it is cut into pieces.
// Const and shared by all threads once built.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/fwd.hpp>

#include "services/text/encode/added_tokens.h"
#include "services/text/encode/regex.h"

namespace swiftlet {

// A text and, where it matters, which of its bytes the template wrote.
struct AuthoredText {
  std::string text;
  bool tracks_trust = false;
  std::vector<bool> trust;  // one for each byte; empty unless tracks_trust
};

class NormalizerStep {
 public:
  virtual ~NormalizerStep() = default;
  // Whether Apply would leave `text` as it is; false if unsure.
  virtual bool Keeps(std::string_view text) const = 0;
  virtual absl::Status Apply(AuthoredText& text, RegexScratch& scratch) const = 0;
};

class Normalizer {
 public:
  // `description`: the value of "normalizer", null for none. UNIMPLEMENTED names an unknown type.
  static absl::StatusOr<Normalizer> Create(const boost::json::value& description);

  bool Keeps(std::string_view text) const;
  absl::Status Apply(AuthoredText& text, RegexScratch& scratch) const;

 private:
  std::vector<std::unique_ptr<NormalizerStep>> steps_;
};

}  // namespace swiftlet
