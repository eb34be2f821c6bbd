// What one step computes: plain data that owns all it says, written by Scheduler::Plan, read by the executor on its own
// thread, and given back to Scheduler::Apply with the results.
//
// Order on the device: rows, copies_before, the forward pass, copies_after, sampling.
#pragma once

#include <cstdint>
#include <vector>

namespace swiftlet {

struct StepPlan {
  // A device row that changes hands before the step: everything it needs beside the request's own parameters.
  struct Row {
    int32_t row = 0;
    uint64_t request = 0;
    int32_t choice = 0;
    std::vector<int32_t> output_ids;  // generated so far
  };
  struct Copy {
    int32_t from = 0, to = 0;  // block ids; executed in order
  };
  struct Target {
    uint64_t sequence = 0;
    int32_t choice = 0;
    int32_t row = 0;
  };
  struct Item {
    uint64_t sequence = 0;
    uint64_t request = 0;
    int32_t choice = 0;
    uint32_t incarnation = 0;
    int32_t row = 0;
    int32_t begin = 0, count = 0;    // positions [begin, begin + count) are computed
    std::vector<int32_t> token_ids;  // count of them, or none: the one id is the row's last sampled one
    std::vector<int32_t> block_ids;  // covers [0, begin + count)
    bool sample = false;             // the token at begin + count is drawn, by the row
    std::vector<Target> forks;       // further rows that draw from the same logits: choices that share the prompt
    int32_t score_begin = 0, score_end = 0;  // positions whose rows give the log-probability of the next prompt token
  };

  uint64_t step = 0;
  std::vector<Row> rows;
  std::vector<Copy> copies_before;
  std::vector<Item> items;  // decodes first, then prefill chunks, each in order of priority and arrival
  std::vector<Copy> copies_after;

  bool empty() const { return items.empty(); }
};

// One for each item and then one for each of its forks, in order.
struct StepSample {
  int32_t token_id = -1;  // drawn, when the item samples
  bool stop = false;      // the token is one of the row's stop tokens
  bool failed = false;    // the logits were not finite: nothing was drawn
  bool skipped = false;   // the row had stopped in an earlier step: nothing was computed
};

}  // namespace swiftlet
