// The Python attributes that values have: methods of str, dict and list, the fields of `loop`, a namespace's names.
// Methods that change their object exist but may not be called, as in Jinja's immutable sandbox.
#pragma once

#include <absl/status/statusor.h>

#include <string_view>

#include "services/text/encode/jinja_runtime.h"
#include "services/text/encode/jinja_value.h"

namespace swiftlet::jinja {

using Method = absl::StatusOr<Value> (*)(Runtime& runtime, const Value& self, const CallArguments& arguments);

// The method `name` of the type of `object`; null where there is none.
const Method* FindMethod(const Value& object, std::string_view name);
const Method* FindStringMethod(std::string_view name);

// object.name, methods bound to the object; undefined where Python has no such attribute or the sandbox refuses it.
Value PythonAttribute(Runtime& runtime, const Value& object, std::string_view name);
// Whether Python finds the attribute, refused ones included: then no item of that name is looked for.
bool IsPythonAttribute(const Value& object, std::string_view name);

}  // namespace swiftlet::jinja
