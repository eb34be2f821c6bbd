// From the flags of `swiftlet serve` to the command lines of its three children. Pure, but for the free ports handed
// in.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "services/common/flags.h"
#include "tools/swiftlet/serve/child_process.h"

namespace swiftlet {

// A flag of a child that serve hands on when it was given.
struct HandedOn {
  const char* name;        // as serve spells it
  const char* child_name;  // as the child does
  const char* child;       // "gateway", "tokenizer", "worker"
  bool is_switch;
  const char* help;
};
const std::vector<HandedOn>& HandedOnFlags();

struct ServeOptions {
  std::string model;
  std::string served_model_name;  // the directory's own if empty
  std::string host = "127.0.0.1";
  int32_t port = 8000;
  int32_t grpc_port = 8001;
  int32_t admin_port = 8002;
  int32_t tokenizer_port = 0;  // 0 = any free one, here and below
  int32_t tokenizer_admin_port = 0;
  int32_t worker_port = 0;
  int32_t worker_admin_port = 0;
  std::string log_level = "info";
  std::string log_format = "text";
  double drain_seconds = 30;
  std::string metrics_compat = "none";
  std::vector<std::string> api_keys;
  // By the index of HandedOnFlags(): the value, or the switch, where it was given.
  std::vector<std::optional<std::string>> handed_on_values;
  std::vector<std::optional<bool>> handed_on_switches;

  ServeOptions();
  void AddTo(Flags& flags);
  // Of the children that are not spoken to from outside, those left at 0.
  std::vector<int32_t*> OpenPorts();
};

// `--max-num-seqs=8 ...`: what was given for `child`.
std::vector<std::string> HandedOnArguments(const ServeOptions& options, const std::string& child);

struct PlannedChild {
  ChildSpec spec;
  std::string admin_host;  // where its /readyz is
  int32_t admin_port = 0;
  bool after_others = false;  // started once those before it are ready
};

struct ServePlan {
  std::vector<PlannedChild> children;  // in the order of starting; stopped from the last to the first
  std::string banner;                  // printed when all are ready
  double drain_seconds = 0;
};

// `bin`: the folder of the binaries. `environment`: ours; the children get it without our own SWIFTLET_ variables.
// All ports are set.
ServePlan MakeServePlan(const ServeOptions& options, const std::string& bin,
                        const std::vector<std::string>& environment);

}  // namespace swiftlet
