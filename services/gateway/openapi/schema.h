// Small pieces of JSON Schema (2020-12) that the OpenAPI document is made of. Pure; any thread.
#pragma once

#include <string>
#include <string_view>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include "services/gateway/request/field_bounds.h"

namespace swiftlet::schema {

// {"$ref": "#/components/schemas/NAME"}
boost::json::object Reference(std::string_view name);

// Also null, which means absent in every request.
boost::json::object OrNull(boost::json::object schema);

// What one number or text may be, and, in a list or map of them, each.
void AddRange(const Range& range, boost::json::object& schema);
void AddText(const FieldBounds& bounds, boost::json::object& schema);
// How many there may be. `schema` is a list's or an object's.
void AddEntries(const FieldBounds& bounds, boost::json::object& schema);

// As JSON spells it best: 2 rather than 2.0.
boost::json::value Number(double value);

}  // namespace swiftlet::schema
