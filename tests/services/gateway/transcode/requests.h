// The table of a service, and an empty request for one of its methods.
#pragma once

#include <google/protobuf/message.h>

#include <memory>
#include <utility>

#include "engine/base/check.h"
#include "services/gateway/transcode/binding.h"

namespace swiftlet::tests {

inline BindingTable TableOf(const google::protobuf::ServiceDescriptor& service) {
  auto table = BindingTable::Of(service);
  CHECK(table.ok()) << table.status();
  return *std::move(table);
}

inline std::unique_ptr<google::protobuf::Message> NewRequest(const Binding& binding) {
  auto* const factory = google::protobuf::MessageFactory::generated_factory();
  return std::unique_ptr<google::protobuf::Message>(factory->GetPrototype(binding.method->input_type())->New());
}

}  // namespace swiftlet::tests
