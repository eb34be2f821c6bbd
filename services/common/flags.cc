#include "services/common/flags.h"

#include <absl/strings/ascii.h>
#include <absl/strings/match.h>
#include <absl/strings/str_cat.h>
#include <absl/strings/str_join.h>
#include <absl/strings/str_split.h>
#include <absl/strings/string_view.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <utility>

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>

#include "engine/base/check.h"
#include "engine/base/status_macros.h"
#include "engine/base/string_view.h"
#include "services/common/build_info.h"
#include "services/common/flag_names.h"

namespace swiftlet {
namespace {

using Values = std::vector<std::string>;

struct Entry {
  std::string name;
  std::string help;
  bool is_switch = false;
  bool repeatable = false;
  bool required = false;
  std::function<absl::Status(const Values&)> set = {};
  std::function<std::string()> show = {};
  CLI::Option* option = nullptr;
  std::pair<std::string, std::string> other_variable = {};  // a foreign one, and the flag's value where it is set
  absl::string_view source = "default";
};

template <typename T>
Entry NumberEntry(const std::string& name, T* target, const std::string& help, FlagRange<T> range) {
  Entry entry{.name = name, .help = help};
  entry.set = [target, range](const Values& values) {
    T value;
    if (!ParseNumber(values[0], &value) || !(value >= range.lowest && value <= range.highest)) {
      return absl::InvalidArgumentError(absl::StrCat("\"", values[0], "\" given; ", RangeText(range), " is needed"));
    }
    *target = value;
    return absl::OkStatus();
  };
  entry.show = [target] { return absl::StrCat(*target); };
  return entry;
}

// `Text`: a string, or an optional one.
template <typename Text>
std::function<absl::Status(const Values&)> TakeText(Text* target) {
  return [target](const Values& values) {
    *target = values[0];
    return absl::OkStatus();
  };
}

Entry ListEntry(const std::string& name, Values* target, const std::string& help) {
  Entry entry{.name = name, .help = help, .repeatable = true};
  entry.set = [target](const Values& values) {
    target->clear();
    for (const std::string& value : values) {
      for (const absl::string_view part : absl::StrSplit(value, ',', absl::SkipWhitespace())) {
        target->emplace_back(absl::StripAsciiWhitespace(part));
      }
    }
    return absl::OkStatus();
  };
  return entry;
}

}  // namespace

struct Flags::Impl {
  Impl(std::string program_name, const std::string& description) : app(description, program_name) {
    app.allow_extras();
    app.set_help_flag("--help", "print this and exit");
    app.set_version_flag("--version", absl::StrCat(program_name, " ", ToAbsl(BuildVersion())),
                         "print the version and exit");
    app.get_formatter()->column_width(38);
    app.footer(
        "Each flag --some-name is also read from the environment variable SWIFTLET_SOME_NAME, and from a line\n"
        "`some-name = value` of the file named by --config. The command line wins over the environment, and that\n"
        "over the file.");
    Add({.name = "config",
         .help = "file with flags, one `name = value` a line (TOML or INI)",
         .set = TakeText(&config_path),
         .show = [this] { return config_path; }});
  }

  void Add(Entry entry) {
    CHECK(Find(entry.name) == nullptr) << entry.name << " added twice";
    // A CLI11 option without a callback: CLI11 splits the command line and prints the help, conversion is ours, so
    // that all three sources give the same messages.
    if (entry.is_switch) {
      const std::string& help = entry.help;
      entry.option = app.add_flag(absl::StrCat("--", entry.name, ",!--no-", entry.name), help);
    } else {
      entry.option = app.add_option(absl::StrCat("--", entry.name), CLI::callback_t(), entry.help);
      entry.option->type_name(entry.repeatable ? "VALUE ..." : "VALUE")->expected(1);
      const std::string shown = entry.show();
      if (!shown.empty() && !entry.repeatable) entry.option->default_str(shown);
    }
    entry.option->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    entries.push_back(std::move(entry));
  }

  Entry* Find(absl::string_view name) {
    for (Entry& entry : entries) {
      if (entry.name == name) return &entry;
    }
    return nullptr;
  }

  // `spell` writes a flag's name as this source does.
  template <typename Spell>
  absl::Status Unknown(absl::string_view what, absl::string_view name, Spell spell) {
    Values names;
    for (const Entry& entry : entries) {
      names.push_back(spell(entry.name));
      if (entry.is_switch) names.push_back(spell("no-" + entry.name));
    }
    const std::string nearest = NearestName(ToStd(name), names);
    return absl::InvalidArgumentError(
        absl::StrCat("unknown ", what, " ", name,
                     nearest.empty() ? "; --help lists all flags" : absl::StrCat("; did you mean ", nearest, "?")));
  }

  absl::Status Set(Entry& entry, const Values& values, absl::string_view source) {
    const std::string spelled = source == "command line"  ? absl::StrCat("--", entry.name)
                                : source == "environment" ? EnvironmentName(entry.name)
                                                          : absl::StrCat(entry.name, " in ", config_path);
    if (values.empty() || (values.size() > 1 && !entry.repeatable && !entry.is_switch)) {
      return absl::InvalidArgumentError(
          absl::StrCat(spelled, ": ", values.size(), " values given; exactly one is needed"));
    }
    const absl::Status status = entry.set(values);
    if (!status.ok()) return absl::InvalidArgumentError(absl::StrCat(spelled, ": ", status.message()));
    entry.source = source;
    return absl::OkStatus();
  }

  absl::Status ReadEnvironment(const Values& environment) {
    for (const std::string& variable : environment) {
      if (!absl::StartsWith(variable, kEnvironmentPrefix)) continue;
      const std::pair<absl::string_view, absl::string_view> parts = absl::StrSplit(variable, absl::MaxSplits('=', 1));
      const auto [name, value] = parts;
      if (IsServiceLink(name, value)) continue;
      const auto entry = std::find_if(entries.begin(), entries.end(), [name = name](const Entry& candidate) {
        return EnvironmentName(candidate.name) == name;
      });
      if (entry == entries.end()) return Unknown("environment variable", name, EnvironmentName);
      if (entry->source == "default") RETURN_IF_ERROR(Set(*entry, {std::string(value)}, "environment"));
    }
    return absl::OkStatus();
  }

  absl::Status ReadConfig() {
    if (config_path.empty()) return absl::OkStatus();
    std::vector<CLI::ConfigItem> items;
    try {
      items = CLI::ConfigTOML().from_file(config_path);
    } catch (const CLI::Error& error) {
      return absl::InvalidArgumentError(absl::StrCat("--config: ", error.what()));
    }
    Values seen;
    for (const CLI::ConfigItem& item : items) {
      if (item.name == "++" || item.name == "--") {  // CLI11's marks of a section's begin and end
        if (item.parents.empty()) continue;
        return absl::InvalidArgumentError(absl::StrCat("--config: section [", absl::StrJoin(item.parents, "."), "] in ",
                                                       config_path, "; flags stand before any section"));
      }
      Entry* entry = item.parents.empty() ? Find(item.name) : nullptr;
      if (entry == nullptr || entry->name == "config") {
        return Unknown("key", absl::StrCat(item.fullname()), [](absl::string_view name) { return std::string(name); });
      }
      if (std::find(seen.begin(), seen.end(), item.name) != seen.end()) {
        return absl::InvalidArgumentError(absl::StrCat(item.name, " stands twice in ", config_path));
      }
      seen.push_back(item.name);
      if (entry->source == "default") RETURN_IF_ERROR(Set(*entry, item.inputs, "config file"));
    }
    return absl::OkStatus();
  }

  absl::Status ReadOtherVariables(const Values& environment) {
    for (Entry& entry : entries) {
      const auto& [name, value] = entry.other_variable;
      if (name.empty() || entry.source != "default") continue;
      const std::string prefix = absl::StrCat(name, "=");
      const bool set = std::any_of(environment.begin(), environment.end(), [&](const std::string& variable) {
        return absl::StartsWith(variable, prefix) && variable.size() > prefix.size();
      });
      if (set) RETURN_IF_ERROR(Set(entry, {value}, "environment"));
    }
    return absl::OkStatus();
  }

  CLI::App app;
  std::vector<Entry> entries;
  std::string operand_name;
  std::string operand_help;
  std::string* operand = nullptr;  // null: there is none
  std::string config_path;
};

Flags::Flags(std::string program, std::string description)
    : impl_(std::make_unique<Impl>(std::move(program), description)) {}
Flags::~Flags() = default;

void Flags::Add(const std::string& name, std::string* target, const std::string& help) {
  impl_->Add({.name = name, .help = help, .set = TakeText(target), .show = [target] { return *target; }});
}

void Flags::Add(const std::string& name, int32_t* target, const std::string& help, FlagRange<int32_t> range) {
  impl_->Add(NumberEntry(name, target, help, range));
}

void Flags::Add(const std::string& name, int64_t* target, const std::string& help, FlagRange<int64_t> range) {
  impl_->Add(NumberEntry(name, target, help, range));
}

void Flags::Add(const std::string& name, double* target, const std::string& help, FlagRange<double> range) {
  impl_->Add(NumberEntry(name, target, help, range));
}

void Flags::Add(const std::string& name, bool* target, const std::string& help) {
  impl_->Add({.name = name,
              .help = absl::StrCat(help, *target ? " [on]" : ""),
              .is_switch = true,
              .set = [target](const Values& values) { return ParseBool(values.back(), target); },
              .show = [target] { return *target ? "true" : "false"; }});
}

void Flags::Add(const std::string& name, std::vector<std::string>* target, const std::string& help) {
  Entry entry = ListEntry(name, target, help);
  entry.show = [target] { return absl::StrJoin(*target, ","); };
  impl_->Add(std::move(entry));
}

void Flags::Add(const std::string& name, std::optional<std::string>* target, const std::string& help) {
  impl_->Add({.name = name, .help = help, .set = TakeText(target), .show = [target] { return target->value_or(""); }});
}

void Flags::Add(const std::string& name, std::optional<bool>* target, const std::string& help) {
  impl_->Add({.name = name,
              .help = help,
              .is_switch = true,
              .set =
                  [target](const Values& values) {
                    bool value = false;
                    RETURN_IF_ERROR(ParseBool(values.back(), &value));
                    *target = value;
                    return absl::OkStatus();
                  },
              .show = [target] { return target->has_value() ? (**target ? "true" : "false") : ""; }});
}

void Flags::AddChoice(const std::string& name, std::string* target, std::vector<std::string> choices,
                      const std::string& help) {
  impl_->Add({.name = name,
              .help = absl::StrCat(help, ": ", absl::StrJoin(choices, ", ")),
              .set =
                  [target, choices](const Values& values) {
                    if (std::find(choices.begin(), choices.end(), values[0]) == choices.end()) {
                      return absl::InvalidArgumentError(absl::StrCat("\"", values[0], "\" given; one of ",
                                                                     absl::StrJoin(choices, ", "), " is needed"));
                    }
                    *target = values[0];
                    return absl::OkStatus();
                  },
              .show = [target] { return *target; }});
}

void Flags::AddBytes(const std::string& name, int64_t* target, const std::string& help) {
  impl_->Add({.name = name,
              .help = help,
              .set = [target](const Values& values) { return ParseBytes(values[0], target); },
              .show = [target] { return absl::StrCat(*target); }});
}

void Flags::AddPort(const std::string& name, int32_t* target, const std::string& help) {
  Add(name, target, help, {0, 65535});
}

void Flags::AddSecret(const std::string& name, std::vector<std::string>* target, const std::string& help) {
  Entry entry = ListEntry(name, target, help);
  entry.show = [target] { return target->empty() ? "" : absl::StrCat("[", target->size(), " hidden]"); };
  impl_->Add(std::move(entry));
}

void Flags::AddOperand(const std::string& name, std::string* target, const std::string& help) {
  impl_->operand_name = name;
  impl_->operand_help = help;
  impl_->operand = target;
  CLI::App& app = impl_->app;
  app.description(absl::StrCat(app.get_description(), "\n\n", name, ": ", help));
  app.name(absl::StrCat(app.get_name(), " ", name));  // the line of usage has it
}

void Flags::AlsoSetBy(const std::string& variable, const std::string& value) {
  impl_->entries.back().other_variable = {variable, value};
}

void Flags::Require() {
  impl_->entries.back().required = true;
}

absl::StatusOr<Flags::Next> Flags::Parse(int argc, const char* const* argv) {
  Values environment;
  for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
    environment.emplace_back(*variable);
  }
  return Parse(argc, argv, environment);
}

absl::StatusOr<Flags::Next> Flags::Parse(int argc, const char* const* argv, const Values& environment) {
  CLI::App& app = impl_->app;
  try {
    Values arguments;
    for (int i = 1; i < argc; ++i) {
      // CLI11 would take the next argument for the value of "--name=".
      const std::string_view argument = argv[i];
      const bool has_no_value = argument.starts_with("--") && argument.find('=') == argument.size() - 1;
      arguments.emplace_back(argument.substr(0, argument.size() - (has_no_value ? 1 : 0)));
      if (has_no_value) arguments.emplace_back();
    }
    std::reverse(arguments.begin(), arguments.end());  // CLI11 takes them from the back
    app.parse(std::move(arguments));
  } catch (const CLI::CallForHelp&) {
    std::fputs(app.help().c_str(), stdout);
    return Next::kExit;
  } catch (const CLI::CallForVersion& version) {
    std::printf("%s\n", version.what());
    return Next::kExit;
  } catch (const CLI::Error& error) {
    return absl::InvalidArgumentError(error.what());
  }
  bool has_operand = false;
  for (const std::string& argument : app.remaining()) {
    const std::string name = argument.substr(0, argument.find('='));
    if (!absl::StartsWith(name, "-")) {
      if (impl_->operand != nullptr && !has_operand) {
        *impl_->operand = argument;
        has_operand = true;
        continue;
      }
      return absl::InvalidArgumentError(absl::StrCat("\"", argument, "\" is not a flag; flags begin with --"));
    }
    return impl_->Unknown("flag", name, [](absl::string_view flag) { return absl::StrCat("--", flag); });
  }
  for (Entry& entry : impl_->entries) {
    if (entry.option->count() == 0) continue;
    RETURN_IF_ERROR(impl_->Set(entry, entry.option->results(), "command line"));
  }
  RETURN_IF_ERROR(impl_->ReadEnvironment(environment));
  RETURN_IF_ERROR(impl_->ReadConfig());
  RETURN_IF_ERROR(impl_->ReadOtherVariables(environment));
  for (const Entry& entry : impl_->entries) {
    if (entry.required && entry.source == "default") {
      return absl::InvalidArgumentError(absl::StrCat("--", entry.name, " is missing: ", entry.help));
    }
  }
  if (impl_->operand != nullptr && !has_operand) {
    return absl::InvalidArgumentError(absl::StrCat(impl_->operand_name, " is missing: ", impl_->operand_help));
  }
  return Next::kRun;
}

std::string Flags::Effective() const {
  Values parts;
  for (const Entry& entry : impl_->entries) {
    const std::string shown = entry.show();
    if (shown.empty() && entry.source == "default") continue;
    parts.push_back(
        absl::StrCat(entry.name, "=", shown, entry.source == "default" ? "" : absl::StrCat(" (", entry.source, ")")));
  }
  return absl::StrJoin(parts, " ");
}

}  // namespace swiftlet
