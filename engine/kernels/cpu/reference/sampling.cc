// The oracle of sampling: copies the row, sorts it, and follows the contract line by line.
#include "engine/kernels/sampling.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace swiftlet::reference {
namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

bool AllFinite(std::span<const float> logits) {
  return std::ranges::all_of(logits, [](float logit) { return std::isfinite(logit); });
}

std::vector<float> EditedLogits(const SampleArgs& args) {
  std::vector<float> edited(args.logits.begin(), args.logits.end());
  for (const auto& [id, bias] : args.logit_bias) edited[id] += bias;
  for (const TokenCount& count : args.counts) {
    float& logit = edited[count.token_id];
    if (args.repetition_penalty != 1) {
      logit = logit > 0 ? logit / args.repetition_penalty : logit * args.repetition_penalty;
    }
    logit -= args.frequency_penalty * static_cast<float>(count.output_count);
    if (count.output_count > 0) logit -= args.presence_penalty;
  }
  for (const int32_t id : args.forbidden_ids) edited[id] = kMinusInfinity;
  for (size_t id = 0; !args.mask.empty() && id < edited.size(); ++id) {
    if ((args.mask[id / 64] >> (id % 64) & 1) == 0) edited[id] = kMinusInfinity;
  }
  return edited;
}

// Ids in order of (value down, id up).
std::vector<int32_t> Order(std::span<const float> values) {
  std::vector<int32_t> order(values.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, [&](int32_t a, int32_t b) { return values[a] > values[b]; });
  return order;
}

}  // namespace

bool ScoreToken(std::span<const float> logits, int32_t token_id, int32_t num_top, PositionLogprobs* result) {
  if (!AllFinite(logits)) return false;
  const double max = *std::ranges::max_element(logits);
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - max);
  const double log_sum = max + std::log(sum);
  const auto score = [&](int32_t id) { return TokenLogprob{id, static_cast<float>(logits[id] - log_sum)}; };
  result->chosen = score(token_id);
  result->top.clear();
  if (num_top <= 0) return true;
  const std::vector<int32_t> order = Order(logits);
  for (int32_t i = 0; i < num_top && i < static_cast<int32_t>(order.size()); ++i)
    result->top.push_back(score(order[i]));
  return true;
}

SampleResult Sample(const SampleArgs& args) {
  SampleResult result;
  result.finite = AllFinite(args.logits);
  if (!result.finite) return result;
  std::vector<float> values = EditedLogits(args);
  if (args.temperature == 0) {
    result.token_id = Order(values).front();
  } else {
    const float inverse_temperature = 1 / args.temperature;
    for (float& value : values) value *= inverse_temperature;
    std::vector<int32_t> kept = Order(values);
    const float max = values[kept.front()];
    if (args.min_p > 0) {
      const float cut = max + std::log(args.min_p);
      while (kept.size() > 1 && !(values[kept.back()] >= cut)) kept.pop_back();
    }
    while (kept.size() > 1 && values[kept.back()] == kMinusInfinity) kept.pop_back();
    if (args.top_k > 0 && static_cast<int32_t>(kept.size()) > args.top_k) kept.resize(args.top_k);
    if (args.top_p < 1) {
      double total = 0;
      for (const int32_t id : kept) total += std::exp(static_cast<double>(values[id]) - max);
      double mass = 0;
      size_t size = 0;
      while (size < kept.size() && (size == 0 || mass < args.top_p * total)) {
        mass += std::exp(static_cast<double>(values[kept[size++]]) - max);
      }
      kept.resize(size);
    }
    double best = -std::numeric_limits<double>::infinity();
    for (const int32_t id : kept) {
      const double score = values[id] + GumbelNoise(CoarseNoise(args.key, id), FineNoise(args.key, id));
      if (result.token_id < 0 || score > best || (score == best && id < result.token_id)) {
        best = score;
        result.token_id = id;
      }
    }
  }
  if (args.num_top >= 0) ScoreToken(args.logits, result.token_id, args.num_top, &result.logprobs);
  return result;
}

}  // namespace swiftlet::reference
