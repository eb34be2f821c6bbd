#include "services/gateway/transcode/response_json.h"

#include <absl/strings/str_cat.h>
#include <google/protobuf/util/json_util.h>

#include <memory>

namespace swiftlet {
namespace {

absl::StatusOr<std::string> ToJson(const google::protobuf::Message& message, bool print_defaults) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = print_defaults;
  std::string text;
  if (const auto status = google::protobuf::util::MessageToJsonString(message, &text, options); !status.ok()) {
    return absl::InternalError(absl::StrCat("the answer is no JSON: ", status.ToString()));
  }
  return text;
}

}  // namespace

absl::StatusOr<std::string> ResponseJson(const google::protobuf::Message& message,
                                         const google::protobuf::FieldDescriptor* field) {
  if (field == nullptr) return ToJson(message, /*print_defaults=*/false);
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  if (field->message_type() != nullptr && !field->is_repeated()) {
    return ToJson(reflection.GetMessage(message, field), /*print_defaults=*/false);
  }
  // Any other field has no JSON of its own in protobuf's interface: {"field":<it>} without the frame.
  const std::unique_ptr<google::protobuf::Message> part(message.New());
  part->CopyFrom(message);
  std::vector<const google::protobuf::FieldDescriptor*> set;
  reflection.ListFields(*part, &set);
  for (const auto* other : set) {
    if (other != field) reflection.ClearField(part.get(), other);
  }
  absl::StatusOr<std::string> framed = ToJson(*part, /*print_defaults=*/false);
  if (!framed.ok()) return framed;
  const size_t frame = field->name().size() + 4;  // {"":
  if (framed->size() > frame) return framed->substr(frame, framed->size() - frame - 1);
  if (field->is_map()) return "{}";
  if (field->is_repeated()) return "[]";
  switch (field->cpp_type()) {
    case google::protobuf::FieldDescriptor::CPPTYPE_STRING:
      return R"("")";
    case google::protobuf::FieldDescriptor::CPPTYPE_BOOL:
      return "false";
    case google::protobuf::FieldDescriptor::CPPTYPE_INT64:
    case google::protobuf::FieldDescriptor::CPPTYPE_UINT64:
      return R"("0")";
    case google::protobuf::FieldDescriptor::CPPTYPE_ENUM:
      return absl::StrCat("\"", field->enum_type()->FindValueByNumber(0)->name(), "\"");
    default:
      return "0";
  }
}

}  // namespace swiftlet
