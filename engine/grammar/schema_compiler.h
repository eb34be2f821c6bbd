// Walks a parsed schema once and builds its grammar. Used by json_schema.cc alone; it brings Boost.JSON with it.
//
// A schema that is referred to ($ref), an array's items and an allOf become rules of their own, each compiled once
// whatever the number of places that use it: the work is linear in the text.
#pragma once

#include <absl/container/flat_hash_map.h>
#include <absl/container/flat_hash_set.h>
#include <absl/status/statusor.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "engine/grammar/grammar_limits.h"
#include "engine/grammar/json_rules.h"
#include "engine/grammar/schema_keywords.h"

namespace swiftlet {

class SchemaCompiler {
 public:
  using Node = GrammarBuilder::Node;
  using Rule = GrammarBuilder::Rule;
  using Value = boost::json::value;
  using Object = boost::json::object;

  // `root` outlives this.
  SchemaCompiler(const Value& root, std::string name, const GrammarLimits& limits, JsonRules& rules)
      : root_(root), name_(std::move(name)), limits_(limits), rules_(rules), builder_(rules.builder()) {}

  absl::StatusOr<Node> Compile(Node next);

 private:
  // What an object schema, or several of an allOf together, say of objects. Points into the document.
  struct Members {
    std::vector<std::pair<std::string, const Value*>> properties;  // in order
    absl::flat_hash_set<std::string> names;                        // theirs
    std::vector<std::string> required;
    const Value* additional = nullptr;
  };
  struct Pending {
    Rule rule;
    const Value* schema;
    std::string path;
  };

  absl::StatusOr<Node> Schema(const Value& schema, const std::string& path, Node next);
  absl::StatusOr<Node> Types(const Object& schema, const std::string& path, Node next);
  absl::StatusOr<Node> Values(const Object& schema, const std::string& path, Node next);
  absl::StatusOr<Node> Alternatives(const Object& schema, const std::string& keyword, const std::string& path,
                                    Node next);
  absl::StatusOr<Node> Reference(const Object& schema, const std::string& path, Node next);
  absl::Status CompileAllOf(const Object& schema, const std::string& path, Rule rule);

  absl::StatusOr<Node> String(const Object& schema, const std::string& path, Node next);
  absl::StatusOr<Node> Numbers(const Object& schema, uint32_t types, const std::string& path, Node next);
  absl::StatusOr<Node> Array(const Object& schema, const std::string& path, Node next);
  absl::StatusOr<Node> ObjectOf(const Members& members, const std::string& path, Node next);

  absl::Status AddMembers(const Object& schema, const std::string& path, Members& members);
  // The schema that a `$ref` names, and its path.
  absl::StatusOr<std::pair<const Value*, std::string>> Resolve(const Object& schema, const std::string& path) const;
  // Follows references to what is not one; null where that does not end.
  const Object* Target(const Value& schema) const;
  bool AreDisjoint(const Value& one, const Value& other) const;

  absl::Status TooLarge(const std::string& path) const;
  Rule RuleOf(const Value& schema, const std::string& path);  // compiled later

  const Value& root_;
  const std::string name_;
  const GrammarLimits& limits_;
  JsonRules& rules_;
  GrammarBuilder& builder_;
  absl::flat_hash_map<const Value*, Rule> rule_of_;
  std::vector<Pending> pending_;
  uint32_t alternatives_ = 0, properties_ = 0;
};

}  // namespace swiftlet
