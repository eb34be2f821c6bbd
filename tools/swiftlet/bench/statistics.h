// What a run measured, and the figures made of it.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace swiftlet::bench {

// All samples of one kind, in microseconds.
class Samples {
 public:
  void Add(int64_t value_us) { values_us_.push_back(static_cast<uint32_t>(value_us < 0 ? 0 : value_us)); }
  void Append(const Samples& other);
  // Sorts; call before Percentile.
  void Finish();

  size_t count() const { return values_us_.size(); }
  double mean_us() const;
  // Nearest rank: the smallest sample that `percent` of all samples do not exceed. 0 without samples.
  double percentile_us(double percent) const;

 private:
  std::vector<uint32_t> values_us_;  // an hour is 3.6e9 us
};

// One thread's share of a run; joined at the end.
struct Measurements {
  Samples time_to_first_token;  // request sent to first chunk with text
  Samples inter_token;          // between chunks with text of one stream
  Samples end_to_end;           // request sent to last byte
  int64_t completed = 0;
  int64_t prompt_tokens = 0;      // as the server counted them
  int64_t cached_tokens = 0;      // likewise
  int64_t completion_tokens = 0;  // likewise
  int64_t text_chunks = 0;
  std::map<std::string, int64_t> errors;  // by message

  void Append(const Measurements& other);
  int64_t error_count() const;
};

}  // namespace swiftlet::bench
