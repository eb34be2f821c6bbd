// How the bytes of a tokenizer's ids join to text, as its service says in GetInfo. A value.
#pragma once

namespace swiftlet {

struct DecoderRules {
  enum class Kind {
    kByteLevel,  // text = all bytes joined; each maximal part that is not UTF-8 reads U+FFFD
    kMetaspace,  // tokens are text, runs of byte-fallback tokens are bytes (byte_fallback_run.h)
  };
  // What becomes of the space that the encoder put before the text. The last two are rules of kMetaspace alone.
  enum class LeadingSpace {
    kKeep,
    kStripOne,         // one space, if the whole text begins with it
    kStripFirstToken,  // the leading run of spaces of the first token
    kStripEachToken,   // one leading space of every token that is not special, until there is text
  };
  Kind kind = Kind::kByteLevel;
  LeadingSpace leading_space = LeadingSpace::kKeep;
};

}  // namespace swiftlet
