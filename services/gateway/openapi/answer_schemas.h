// What the routes that no descriptor describes answer, as JSON Schema. The objects of the OpenAI routes are written by
// hand (openai_render.h, logprobs_text.h), and so are their schemas: tests hold answers against them, and no member
// may come that they do not know.
#pragma once

#include <string_view>

namespace swiftlet {

// A JSON object: schemas by name, for components.schemas.
std::string_view AnswerSchemas();

}  // namespace swiftlet
