// The flags of a program. A value comes from the command line, else from the environment (--max-num-seqs reads
// SWIFTLET_MAX_NUM_SEQS), else from the file named by --config (lines `max-num-seqs = 64`, TOML or INI), else from the
// target's own default. An unknown flag, SWIFTLET_ variable or key is an error that names the nearest known one.
// Owned by main, used by the main thread before any other starts. The only file of the tree that reads the environment.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "services/common/flag_values.h"

namespace swiftlet {

class Flags {
 public:
  // `program`: as typed, "swiftlet-worker" or "swiftlet serve". `description`: one line for --help.
  Flags(std::string program, std::string description);
  ~Flags();
  Flags(const Flags&) = delete;
  Flags& operator=(const Flags&) = delete;

  // `name` without dashes, "max-num-seqs"; `target` holds the default, receives the value and outlives Parse.
  void Add(const std::string& name, std::string* target, const std::string& help);
  void Add(const std::string& name, int32_t* target, const std::string& help, FlagRange<int32_t> range = {});
  void Add(const std::string& name, int64_t* target, const std::string& help, FlagRange<int64_t> range = {});
  void Add(const std::string& name, double* target, const std::string& help, FlagRange<double> range = {});
  // --name, --no-name, --name=true.
  void Add(const std::string& name, bool* target, const std::string& help);
  // Repeatable: --worker a:1 --worker b:2; one value with commas is several.
  void Add(const std::string& name, std::vector<std::string>* target, const std::string& help);
  // Absent unless given: flags that `swiftlet serve` hands on unread.
  void Add(const std::string& name, std::optional<std::string>* target, const std::string& help);
  void Add(const std::string& name, std::optional<bool>* target, const std::string& help);
  // One of `choices`, else an error that lists them.
  void AddChoice(const std::string& name, std::string* target, std::vector<std::string> choices,
                 const std::string& help);
  // Bytes: a number alone or with KiB, MiB, GiB, KB, MB, GB; >= 0.
  void AddBytes(const std::string& name, int64_t* target, const std::string& help);
  // A TCP port, 0 = any free one.
  void AddPort(const std::string& name, int32_t* target, const std::string& help);
  // Repeatable; Effective() shows only how many there are.
  void AddSecret(const std::string& name, std::vector<std::string>* target, const std::string& help);
  // What stands on the command line without a flag, once: `swiftlet inspect DIR`. It must be given.
  void AddOperand(const std::string& name, std::string* target, const std::string& help);
  // The last flag added is `value` where nothing says it and `variable`, an environment variable that other programs
  // know too, is set and not empty.
  void AlsoSetBy(const std::string& variable, const std::string& value);
  // The last flag added must be given.
  void Require();

  // What main does next. kExit: --help or --version was printed to stdout; leave with 0.
  enum class Next { kRun, kExit };
  // INVALID_ARGUMENT: one line with what was found, what is allowed, and the flag.
  absl::StatusOr<Next> Parse(int argc, const char* const* argv);
  // The same with the environment handed in ("NAME=value"), for tests.
  absl::StatusOr<Next> Parse(int argc, const char* const* argv, const std::vector<std::string>& environment);

  // After Parse: "max-num-seqs=8 (command line) port=8201 ...", in the order of Add, secrets counted.
  std::string Effective() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace swiftlet
