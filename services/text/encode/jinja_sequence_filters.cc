// Filters over sequences and mappings. See jinja_filters.h.
#include <absl/strings/ascii.h>
#include <absl/strings/numbers.h>

#include <algorithm>

#include "engine/base/status_macros.h"
#include "services/text/encode/concat.h"
#include "services/text/encode/jinja_filters.h"
#include "services/text/encode/jinja_operators.h"
#include "services/text/encode/jinja_print.h"

namespace swiftlet::jinja {

namespace {

using Result = absl::StatusOr<Value>;

absl::StatusOr<std::vector<Value>> Items(Runtime& runtime, const Value& value) {
  ASSIGN_OR_RETURN(std::vector<Value> items, Iterate(value));
  runtime.Spend(items.size());
  return items;
}

// A path such as "function.parameters.0", looked up as items first.
absl::StatusOr<Value> Lookup(Runtime& runtime, Value value, const Value& path, const std::optional<Value>& absent) {
  if (path.is_none()) return value;
  std::vector<Value> parts;
  if (path.is_string()) {
    const std::string separator = ".";
    for (const ByteRange& range : SplitRanges(path.bytes(), &separator, -1)) {
      const std::string_view part = std::string_view(path.bytes()).substr(range.begin, range.end - range.begin);
      int64_t index = 0;
      const bool digits = !part.empty() && std::all_of(part.begin(), part.end(), absl::ascii_isdigit);
      parts.push_back(digits && absl::SimpleAtoi(std::string(part), &index) ? Value::Int(index) : Value::String(part));
    }
  } else {
    parts.push_back(path);
  }
  for (const Value& part : parts) {
    ASSIGN_OR_RETURN(value, GetItem(runtime, value, part));
    if (value.is_undefined() && absent.has_value() && !absent->is_none()) value = *absent;
  }
  return value;
}

Value IgnoreCase(const Value& value) {
  return value.is_string() ? Value::String(ChangeCase(value.text(), LetterCase::kLower)) : value;
}

// Stable sort of `items` by `keys`, of the same length.
absl::Status SortBy(std::vector<Value>& items, const std::vector<Value>& keys, bool reverse) {
  std::vector<size_t> order(items.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  absl::Status status;
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    absl::StatusOr<int> sign = reverse ? Order(keys[b], keys[a]) : Order(keys[a], keys[b]);
    if (!sign.ok()) status.Update(sign.status());
    return sign.ok() && *sign < 0;
  });
  RETURN_IF_ERROR(status);
  std::vector<Value> sorted;
  sorted.reserve(items.size());
  for (size_t i : order) sorted.push_back(std::move(items[i]));
  items = std::move(sorted);
  return absl::OkStatus();
}

bool Flag(const std::optional<Value>& value) {
  return value.has_value() && value->Truth();
}

Result CountItems(Runtime&, const Value& value, const CallArguments& arguments) {
  RETURN_IF_ERROR(BindArguments("length", arguments, {}).status());
  ASSIGN_OR_RETURN(const int64_t length, Length(value));
  return Value::Int(length);
}

Result List(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  RETURN_IF_ERROR(BindArguments("list", arguments, {}).status());
  ASSIGN_OR_RETURN(std::vector<Value> items, Items(runtime, value));
  return runtime.NewList(std::move(items));
}

Result First(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  RETURN_IF_ERROR(BindArguments("first", arguments, {}).status());
  ASSIGN_OR_RETURN(const std::vector<Value> items, Items(runtime, value));
  return items.empty() ? Value::UndefinedBecause("No first item, sequence was empty.") : items.front();
}

Result Last(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  RETURN_IF_ERROR(BindArguments("last", arguments, {}).status());
  if (value.is_sequence() && value.sequence().kind == SequenceKind::kIterator) {
    return TemplateError("'generator' object is not reversible");
  }
  ASSIGN_OR_RETURN(const std::vector<Value> items, Items(runtime, value));
  return items.empty() ? Value::UndefinedBecause("No last item, sequence was empty.") : items.back();
}

Result Reverse(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  RETURN_IF_ERROR(BindArguments("reverse", arguments, {}).status());
  ASSIGN_OR_RETURN(std::vector<Value> items, Items(runtime, value));
  std::reverse(items.begin(), items.end());
  if (!value.is_string()) return runtime.NewList(std::move(items), SequenceKind::kIterator);
  TextBuilder builder;
  for (const Value& item : items) builder.Append(item.text());
  return runtime.NewString(builder.Build());
}

Result Join(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  ASSIGN_OR_RETURN(auto bound, BindArguments("join", arguments, {"d", "attribute"}));
  ASSIGN_OR_RETURN(const std::vector<Value> items, Items(runtime, value));
  const size_t size_limit = runtime.limits().string_bytes;
  ASSIGN_OR_RETURN(const Text separator, Str(bound[0].value_or(Value::String("")), size_limit));
  TextBuilder builder;
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) builder.Append(separator);
    ASSIGN_OR_RETURN(const Value item, Lookup(runtime, items[i], bound[1].value_or(Value::None()), std::nullopt));
    RETURN_IF_ERROR(AppendStr(item, size_limit, builder));
    RETURN_IF_ERROR(runtime.CheckStringSize(builder.size()));
  }
  return runtime.NewString(builder.Build());
}

Result ItemPairs(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  RETURN_IF_ERROR(BindArguments("items", arguments, {}).status());
  std::vector<Value> pairs;
  if (value.is_dict()) {
    for (const auto& [key, item] : value.dict().entries()) pairs.push_back(Value::Tuple({key, item}));
  } else if (!value.is_undefined()) {
    // Jinja's filter is a generator: it fails when it is walked, and prints nothing special before that.
    return TemplateError("Can only get item pairs from a mapping.");
  }
  return runtime.NewList(std::move(pairs), SequenceKind::kIterator);
}

Result DictSort(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  ASSIGN_OR_RETURN(auto bound, BindArguments("dictsort", arguments, {"case_sensitive", "by", "reverse"}));
  if (value.is_undefined()) return UndefinedError(value);
  if (!value.is_dict()) return TemplateError(Concat("'", value.type_name(), "' object has no attribute 'items'"));
  const std::string by = bound[1].has_value() && bound[1]->is_string() ? bound[1]->bytes() : "key";
  if (by != "key" && by != "value") return TemplateError("You can only sort by either \"key\" or \"value\"");
  std::vector<Value> pairs;
  std::vector<Value> keys;
  for (const auto& [key, item] : value.dict().entries()) {
    const Value& sort_key = by == "key" ? key : item;
    keys.push_back(Flag(bound[0]) ? sort_key : IgnoreCase(sort_key));
    pairs.push_back(Value::Tuple({key, item}));
  }
  RETURN_IF_ERROR(SortBy(pairs, keys, Flag(bound[2])));
  return runtime.NewList(std::move(pairs));
}

// The values of `attribute` ("a.b", or "a,b" for several), lower case unless `case_sensitive`.
absl::StatusOr<Value> SortKey(Runtime& runtime, const Value& item, const Value& attribute, bool case_sensitive) {
  std::vector<Value> parts;
  const std::string separator = ",";
  if (attribute.is_string()) {
    for (const ByteRange& range : SplitRanges(attribute.bytes(), &separator, -1)) {
      parts.push_back(Value::String(Substring(attribute.text(), range.begin, range.end)));
    }
  } else {
    parts.push_back(attribute);
  }
  for (Value& part : parts) {
    ASSIGN_OR_RETURN(part, Lookup(runtime, item, part, std::nullopt));
    if (!case_sensitive) part = IgnoreCase(part);
  }
  return Value::Tuple(std::move(parts));
}

Result Sort(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  ASSIGN_OR_RETURN(auto bound, BindArguments("sort", arguments, {"reverse", "case_sensitive", "attribute"}));
  ASSIGN_OR_RETURN(std::vector<Value> items, Items(runtime, value));
  std::vector<Value> keys;
  for (const Value& item : items) {
    ASSIGN_OR_RETURN(Value key, SortKey(runtime, item, bound[2].value_or(Value::None()), Flag(bound[1])));
    keys.push_back(std::move(key));
  }
  RETURN_IF_ERROR(SortBy(items, keys, Flag(bound[0])));
  return runtime.NewList(std::move(items));
}

Result Unique(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  ASSIGN_OR_RETURN(auto bound, BindArguments("unique", arguments, {"case_sensitive", "attribute"}));
  ASSIGN_OR_RETURN(const std::vector<Value> items, Items(runtime, value));
  Dict seen;
  std::vector<Value> kept;
  for (const Value& item : items) {
    ASSIGN_OR_RETURN(Value key, Lookup(runtime, item, bound[1].value_or(Value::None()), std::nullopt));
    if (!Flag(bound[0])) key = IgnoreCase(key);
    if (!key.is_string()) runtime.Spend(seen.size());  // compared one by one
    RETURN_IF_ERROR(runtime.CheckBudget());
    if (seen.Find(key) != nullptr) continue;
    seen.Set(key, Value::None());
    kept.push_back(item);
  }
  return runtime.NewList(std::move(kept), SequenceKind::kIterator);
}

template <int kSign>
Result Extreme(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  ASSIGN_OR_RETURN(auto bound, BindArguments("min", arguments, {"case_sensitive", "attribute"}));
  ASSIGN_OR_RETURN(const std::vector<Value> items, Items(runtime, value));
  Value best = Value::UndefinedBecause("No aggregated item, sequence was empty.");
  Value best_key;
  for (size_t i = 0; i < items.size(); ++i) {
    ASSIGN_OR_RETURN(Value key, Lookup(runtime, items[i], bound[1].value_or(Value::None()), std::nullopt));
    if (!Flag(bound[0])) key = IgnoreCase(key);
    if (i > 0) {
      ASSIGN_OR_RETURN(const int sign, Order(key, best_key));
      if (sign != kSign) continue;
    }
    best = items[i];
    best_key = std::move(key);
  }
  return best;
}

Result Sum(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  ASSIGN_OR_RETURN(auto bound, BindArguments("sum", arguments, {"attribute", "start"}));
  ASSIGN_OR_RETURN(const std::vector<Value> items, Items(runtime, value));
  Value total = bound[1].value_or(Value::Int(0));
  if (total.is_string()) return TemplateError("sum() can't sum strings");
  for (const Value& item : items) {
    ASSIGN_OR_RETURN(const Value term, Lookup(runtime, item, bound[0].value_or(Value::None()), std::nullopt));
    ASSIGN_OR_RETURN(total, Arithmetic(runtime, BinaryOperator::kAdd, total, term));
  }
  return total;
}

Result GroupBy(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  ASSIGN_OR_RETURN(auto bound, BindArguments("groupby", arguments, {"attribute", "default", "case_sensitive"}, 1));
  ASSIGN_OR_RETURN(std::vector<Value> items, Items(runtime, value));
  std::vector<Value> keyed;  // (key to sort by, original key, item)
  std::vector<Value> keys;
  for (Value& item : items) {
    ASSIGN_OR_RETURN(const Value original, Lookup(runtime, item, *bound[0], bound[1]));
    keys.push_back(Flag(bound[2]) ? original : IgnoreCase(original));
    keyed.push_back(Value::Tuple({keys.back(), original, item}));
  }
  RETURN_IF_ERROR(SortBy(keyed, keys, false));
  std::vector<Value> groups;
  for (size_t begin = 0; begin < keyed.size();) {
    const std::vector<Value>& head = keyed[begin].sequence().items;
    std::vector<Value> members;
    size_t end = begin;
    for (; end < keyed.size() && Equal(keyed[end].sequence().items[0], head[0]); ++end) {
      members.push_back(keyed[end].sequence().items[2]);
    }
    groups.push_back(Value::Tuple({head[1], Value::List(std::move(members))}));
    begin = end;
  }
  return runtime.NewList(std::move(groups));
}

absl::StatusOr<int64_t> PieceCount(const std::optional<Value>& value) {
  if (!value->is_integral() || value->integer() < 1 || value->integer() > 100'000) {
    return TemplateError("an integer from 1 to 100000 is required");
  }
  return static_cast<int64_t>(value->integer());
}

Result Batch(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  ASSIGN_OR_RETURN(auto bound, BindArguments("batch", arguments, {"linecount", "fill_with"}, 1));
  ASSIGN_OR_RETURN(const int64_t size, PieceCount(bound[0]));
  ASSIGN_OR_RETURN(const std::vector<Value> items, Items(runtime, value));
  std::vector<Value> batches;
  for (size_t begin = 0; begin < items.size(); begin += static_cast<size_t>(size)) {
    const size_t end = std::min(items.size(), begin + static_cast<size_t>(size));
    std::vector<Value> batch(items.begin() + static_cast<ptrdiff_t>(begin),
                             items.begin() + static_cast<ptrdiff_t>(end));
    if (bound[1].has_value() && !bound[1]->is_none()) batch.resize(static_cast<size_t>(size), *bound[1]);
    batches.push_back(Value::List(std::move(batch)));
  }
  return runtime.NewList(std::move(batches), SequenceKind::kIterator);
}

Result Slice(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  ASSIGN_OR_RETURN(auto bound, BindArguments("slice", arguments, {"slices", "fill_with"}, 1));
  ASSIGN_OR_RETURN(const int64_t slices, PieceCount(bound[0]));
  ASSIGN_OR_RETURN(const std::vector<Value> items, Items(runtime, value));
  const int64_t each = static_cast<int64_t>(items.size()) / slices;
  const int64_t with_extra = static_cast<int64_t>(items.size()) % slices;
  std::vector<Value> columns;
  auto begin = items.begin();
  for (int64_t i = 0; i < slices; ++i) {
    const auto end = begin + each + (i < with_extra ? 1 : 0);
    std::vector<Value> column(begin, end);
    if (bound[1].has_value() && !bound[1]->is_none() && i >= with_extra) column.push_back(*bound[1]);
    columns.push_back(Value::List(std::move(column)));
    begin = end;
  }
  return runtime.NewList(std::move(columns), SequenceKind::kIterator);
}

// The filter or test that the first argument after `skip` names, with the arguments after it.
CallArguments Rest(const CallArguments& arguments, size_t skip) {
  CallArguments rest;
  rest.positional.assign(arguments.positional.begin() + static_cast<ptrdiff_t>(skip), arguments.positional.end());
  rest.keyword = arguments.keyword;
  return rest;
}

Result Map(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  ASSIGN_OR_RETURN(const std::vector<Value> items, Items(runtime, value));
  std::vector<Value> mapped;
  if (arguments.positional.empty()) {
    ASSIGN_OR_RETURN(auto bound, BindArguments("map", arguments, {"attribute", "default"}, 1));
    for (const Value& item : items) {
      ASSIGN_OR_RETURN(Value found, Lookup(runtime, item, *bound[0], bound[1]));
      mapped.push_back(std::move(found));
    }
  } else {
    const Value& name = arguments.positional[0];
    const Filter filter = name.is_string() ? FindFilter(name.bytes()) : nullptr;
    if (filter == nullptr) return TemplateError("map: no filter of that name");
    const CallArguments rest = Rest(arguments, 1);
    for (const Value& item : items) {
      ASSIGN_OR_RETURN(Value result, filter(runtime, item, rest));
      RETURN_IF_ERROR(runtime.CheckBudget());
      mapped.push_back(std::move(result));
    }
  }
  return runtime.NewList(std::move(mapped), SequenceKind::kIterator);
}

template <bool kKeep, bool kByAttribute>
Result Select(Runtime& runtime, const Value& value, const CallArguments& arguments) {
  constexpr size_t kTestAt = kByAttribute ? 1 : 0;
  if (kByAttribute && arguments.positional.empty()) return TemplateError("Missing parameter for attribute name");
  Test test = nullptr;
  CallArguments rest;
  if (arguments.positional.size() > kTestAt) {
    const Value& name = arguments.positional[kTestAt];
    test = name.is_string() ? FindTest(name.bytes()) : nullptr;
    if (test == nullptr) return TemplateError("select: no test of that name");
    rest = Rest(arguments, kTestAt + 1);
  }
  ASSIGN_OR_RETURN(const std::vector<Value> items, Items(runtime, value));
  std::vector<Value> kept;
  for (const Value& item : items) {
    Value subject = item;
    if (kByAttribute) {
      ASSIGN_OR_RETURN(subject, Lookup(runtime, item, arguments.positional[0], std::nullopt));
    }
    bool passes = subject.Truth();
    if (test != nullptr) {
      ASSIGN_OR_RETURN(passes, test(runtime, subject, rest));
    }
    if (passes == kKeep) kept.push_back(item);
  }
  return runtime.NewList(std::move(kept), SequenceKind::kIterator);
}

}  // namespace

const std::vector<NamedFilter>& SequenceFilters() {
  static const std::vector<NamedFilter> filters = {
      {"batch", Batch},
      {"count", CountItems},
      {"dictsort", DictSort},
      {"first", First},
      {"groupby", GroupBy},
      {"items", ItemPairs},
      {"join", Join},
      {"last", Last},
      {"length", CountItems},
      {"list", List},
      {"map", Map},
      {"max", Extreme<1>},
      {"min", Extreme<-1>},
      {"reject", Select<false, false>},
      {"rejectattr", Select<false, true>},
      {"reverse", Reverse},
      {"select", Select<true, false>},
      {"selectattr", Select<true, true>},
      {"slice", Slice},
      {"sort", Sort},
      {"sum", Sum},
      {"unique", Unique},
  };
  return filters;
}

Filter FindFilter(std::string_view name) {
  for (const std::vector<NamedFilter>* table : {&TextFilters(), &SequenceFilters()}) {
    for (const NamedFilter& entry : *table) {
      if (entry.name == name) return entry.filter;
    }
  }
  return nullptr;
}

}  // namespace swiftlet::jinja
