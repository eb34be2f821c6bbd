#include "services/text/encode/bpe_tokenizer.h"

#include <utility>

#include "engine/base/status_macros.h"
#include "services/text/encode/segments.h"

namespace swiftlet {

struct BpeTokenizer::Scratch {
  BpeScratch bpe;
  RegexScratch regex;
  PieceBuffer pieces;
};

// Takes a Scratch for the time of one call.
class BpeTokenizer::ScratchLease {
 public:
  // A Scratch grows with the text, by some 30 bytes a byte; one that served a huge text is not kept.
  ScratchLease(const BpeTokenizer& owner, size_t text_bytes) : owner_(owner), text_bytes_(text_bytes) {
    {
      std::lock_guard<std::mutex> lock(owner_.mutex_);
      if (!owner_.idle_.empty()) {
        scratch_ = std::move(owner_.idle_.back());
        owner_.idle_.pop_back();
      }
    }
    if (scratch_ == nullptr) scratch_ = std::make_unique<Scratch>();
  }
  ~ScratchLease() {
    owner_.lookups_.fetch_add(std::exchange(scratch_->bpe.lookups, 0), std::memory_order_relaxed);
    owner_.hits_.fetch_add(std::exchange(scratch_->bpe.hits, 0), std::memory_order_relaxed);
    if (text_bytes_ > kMaxKeptBytes) return;
    if (text_bytes_ > kMaxStackedBytes) scratch_->regex.ShrinkStack();
    std::lock_guard<std::mutex> lock(owner_.mutex_);
    owner_.idle_.push_back(std::move(scratch_));
  }
  ScratchLease(const ScratchLease&) = delete;
  ScratchLease& operator=(const ScratchLease&) = delete;

  Scratch& operator*() const { return *scratch_; }

 private:
  static constexpr size_t kMaxKeptBytes = size_t{64} << 10;
  static constexpr size_t kMaxStackedBytes = size_t{8} << 10;  // a pattern may stack 30 bytes a byte, too

  const BpeTokenizer& owner_;
  const size_t text_bytes_;
  std::unique_ptr<Scratch> scratch_;
};

namespace {

std::vector<bool> TrustOf(absl::Span<const Authorship> authors) {
  std::vector<bool> trust;
  for (const Authorship& author : authors) trust.resize(author.end, author.is_trusted);
  return trust;
}

std::vector<Authorship> AuthorsOf(const std::vector<bool>& trust) {
  std::vector<Authorship> authors;
  for (size_t i = 0; i < trust.size(); ++i) {
    if (authors.empty() || authors.back().is_trusted != trust[i]) authors.push_back({i, trust[i]});
    authors.back().end = i + 1;
  }
  return authors;
}

}  // namespace

BpeTokenizer::BpeTokenizer(TokenizerFacts facts, Parts parts) : Tokenizer(std::move(facts)), parts_(std::move(parts)) {}

BpeTokenizer::~BpeTokenizer() = default;

absl::StatusOr<std::vector<int32_t>> BpeTokenizer::Encode(absl::Span<const TextSegment> segments,
                                                          const EncodeOptions& options) const {
  ASSIGN_OR_RETURN(const JoinedText joined, JoinedText::Join(segments));
  std::vector<int32_t> ids;
  if (options.add_special_tokens) ids = parts_.post_processor.before;
  ids.reserve(ids.size() + joined.text().size() / 3 + 8);
  ScratchLease scratch(*this, joined.text().size());
  RETURN_IF_ERROR(EncodeText(joined.text(), joined.authors(), *scratch, ids));
  if (options.add_special_tokens) {
    ids.insert(ids.end(), parts_.post_processor.after.begin(), parts_.post_processor.after.end());
  }
  return ids;
}

PieceCacheCounts BpeTokenizer::piece_cache() const {
  return {lookups_.load(std::memory_order_relaxed), hits_.load(std::memory_order_relaxed)};
}

absl::Status BpeTokenizer::EncodeText(std::string_view text, absl::Span<const Authorship> authors, Scratch& scratch,
                                      std::vector<int32_t>& ids) const {
  std::vector<AddedTokenSplit> splits;
  parts_.raw_matcher.Split(text, authors, splits);
  for (const AddedTokenSplit& split : splits) {
    if (split.id >= 0) {
      ids.push_back(split.id);
      continue;
    }
    RETURN_IF_ERROR(EncodeStretch(text.substr(split.begin, split.end - split.begin),
                                  SliceAuthors(authors, split.begin, split.end), split.begin == 0, scratch, ids));
  }
  return absl::OkStatus();
}

absl::Status BpeTokenizer::EncodeStretch(std::string_view text, absl::Span<const Authorship> authors, bool at_start,
                                         Scratch& scratch, std::vector<int32_t>& ids) const {
  const bool has_user_text = HasUserText(authors);
  AuthoredText normal;
  std::vector<Authorship> normal_authors;
  if (!parts_.normalizer.Keeps(text)) {
    normal.text = text;
    normal.tracks_trust = authors.size() > 1 && !parts_.normalized_matcher.empty();
    if (normal.tracks_trust) normal.trust = TrustOf(authors);
    RETURN_IF_ERROR(parts_.normalizer.Apply(normal, scratch.regex));
    text = normal.text;
    if (text.empty()) return absl::OkStatus();
    normal_authors =
        normal.tracks_trust ? AuthorsOf(normal.trust) : std::vector<Authorship>{{text.size(), !has_user_text}};
    authors = normal_authors;
  }
  if (parts_.normalized_matcher.empty()) return EncodePieces(text, has_user_text, at_start, scratch, ids);
  std::vector<AddedTokenSplit> splits;
  parts_.normalized_matcher.Split(text, authors, splits);
  for (const AddedTokenSplit& split : splits) {
    if (split.id >= 0) {
      ids.push_back(split.id);
      continue;
    }
    RETURN_IF_ERROR(EncodePieces(text.substr(split.begin, split.end - split.begin), has_user_text,
                                 at_start && split.begin == 0, scratch, ids));
  }
  return absl::OkStatus();
}

absl::Status BpeTokenizer::EncodePieces(std::string_view text, bool guarded, bool at_start, Scratch& scratch,
                                        std::vector<int32_t>& ids) const {
  PieceBuffer& pieces = scratch.pieces;
  RETURN_IF_ERROR(parts_.pretokenizer.Split(text, at_start, pieces, scratch.regex));
  for (const PieceSpan& span : pieces.spans) {
    parts_.model->Encode(pieces.text.substr(span.begin, span.end - span.begin), guarded, scratch.bpe, ids);
  }
  return absl::OkStatus();
}

}  // namespace swiftlet
