// Counts the rows of one file or model of a golden folder and prints its line of the result. One thread.
#pragma once

#include <string>
#include <string_view>

namespace swiftlet {

class GoldenReport {
 public:
  // `name`: the file or model that the rows belong to.
  explicit GoldenReport(std::string name) : name_(std::move(name)) {}

  void Pass() { ++total_, ++passed_; }
  // `what`: where and how; only the first one is printed.
  void Fail(std::string what);

  bool all_passed() const { return total_ > 0 && passed_ == total_; }
  // "name: 820/820", and the first mismatch where there is one.
  void Print() const;

 private:
  std::string name_;
  int total_ = 0;
  int passed_ = 0;
  std::string first_mismatch_;
};

}  // namespace swiftlet
