// A ModelReport for people and for programs. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tools/swiftlet/inspect/model_report.h"

namespace swiftlet {

// Lengths of sequences worth telling of: powers of four from 1,024 on, and the longest that the model takes.
std::vector<int64_t> SequenceLengths(int32_t max_position);

// `memory_bytes`: sizes for which to say how many sequences fit.
std::string ReportText(const ModelReport& report, const std::vector<int64_t>& memory_bytes);
std::string ReportJson(const ModelReport& report, const std::vector<int64_t>& memory_bytes);

}  // namespace swiftlet
