#include "services/gateway/generator.h"

#include <random>
#include <utility>

#include <boost/asio/post.hpp>

#include "engine/base/check.h"
#include "services/gateway/request_conductor.h"

namespace swiftlet {

uint64_t RandomSeed() {
  std::random_device device;
  return (uint64_t{device()} << 32) | device();
}

GatewayGenerator::GatewayGenerator(const GenerationParts& parts, const GenerationOptions& options)
    : parts_(parts), options_(options) {}

GatewayGenerator::~GatewayGenerator() {
  CHECK(alive_.empty()) << alive_.size() << " requests have not ended";
}

std::shared_ptr<GenerationHandle> GatewayGenerator::Start(ValidRequest request, std::unique_ptr<GenerationSink> sink,
                                                          Executor home) {
  auto generation = std::make_shared<RequestConductor>(*this, std::move(request), std::move(sink), home);
  bool refused;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    refused = refusing_;
    alive_.emplace(generation.get(), Alive{generation, home});
    generation->Keep();
  }
  // Abandon may come first: Begin then finds it ended.
  boost::asio::post(home, [generation, refused] { generation->Begin(refused); });
  return generation;
}

std::vector<Generator::ServedModel> GatewayGenerator::Models() const {
  return parts_.directory.List();
}

int64_t GatewayGenerator::active() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return static_cast<int64_t>(alive_.size());
}

void GatewayGenerator::Refuse() {
  std::lock_guard<std::mutex> lock(mutex_);
  refusing_ = true;
}

void GatewayGenerator::EndAll(const absl::Status& status) {
  std::vector<Alive> alive;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    for (const auto& [generation, entry] : alive_) alive.push_back(entry);
  }
  for (const Alive& entry : alive) {
    boost::asio::post(entry.home, [weak = entry.generation, status] {
      if (const auto generation = weak.lock()) generation->End(status);
    });
  }
}

uint64_t GatewayGenerator::NextRequestId() {
  std::lock_guard<std::mutex> lock(mutex_);
  return next_request_id_++;
}

void GatewayGenerator::Forget(const RequestConductor* generation) {
  std::lock_guard<std::mutex> lock(mutex_);
  alive_.erase(generation);
}

}  // namespace swiftlet
