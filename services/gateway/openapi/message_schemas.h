// The JSON of protobuf messages as JSON Schema, from their descriptors: what message_fields.h reads of requests, and
// what response_json.h writes of answers. Fields are spelled by their proto names. Used while the document is made.
#pragma once

#include <google/protobuf/descriptor.h>

#include <set>
#include <string>
#include <utility>

#include <boost/json/object.hpp>

namespace swiftlet {

class MessageSchemas {
 public:
  // Puts what it makes into `components`, the document's components.schemas, by the names of the messages.
  explicit MessageSchemas(boost::json::object& components) : components_(components) {}

  // A reference to the schema of `type` in requests. `without`: top-level fields that may not stand in it, as the path
  // has them; the schema is one of its own then.
  boost::json::object Request(const google::protobuf::Descriptor& type,
                              const std::set<const google::protobuf::FieldDescriptor*>& without = {});
  // Of one value of a field in a request; of all of it, with lists and maps.
  boost::json::object RequestValue(const google::protobuf::FieldDescriptor& field);
  boost::json::object RequestField(const google::protobuf::FieldDescriptor& field);
  // Likewise in an answer. Requests first: a message that stands in both gets a second schema here.
  boost::json::object Answer(const google::protobuf::Descriptor& type);
  boost::json::object AnswerField(const google::protobuf::FieldDescriptor& field);

 private:
  enum class Side { kRequest, kAnswer };

  boost::json::object Message(const google::protobuf::Descriptor& type, Side side,
                              const std::set<const google::protobuf::FieldDescriptor*>& without);
  boost::json::object Field(const google::protobuf::FieldDescriptor& field, Side side);
  boost::json::object Value(const google::protobuf::FieldDescriptor& field, Side side);
  boost::json::object MessageValue(const google::protobuf::Descriptor& type, Side side);

  boost::json::object& components_;
  std::set<std::pair<const google::protobuf::Descriptor*, Side>> made_;
};

}  // namespace swiftlet
