// The parameters of the OpenAI routes as JSON Schema: from the parameter table what there is and of which kind, from
// the bounds what it may hold. Pure; any thread.
#pragma once

#include <boost/json/object.hpp>

#include "services/gateway/request/parameter_table.h"

namespace swiftlet {

// Of the body of `route`, one of the two. `strict`: unknown names are refused.
boost::json::object BodySchema(ParameterRoute route, bool strict);

// Of the body of /tokenize: of one or the other, with a member more.
boost::json::object TokenizeBodySchema(bool strict);
boost::json::object DetokenizeBodySchema(bool strict);

// What a message of a conversation is; BodySchema refers to it as "ChatMessage".
boost::json::object ChatMessageSchema(bool strict);

}  // namespace swiftlet
