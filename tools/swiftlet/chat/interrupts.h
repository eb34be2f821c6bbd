// Ctrl-C as something to read instead of something that ends the program: SIGINT goes to a descriptor. Made by main
// before any thread is started (they inherit that SIGINT is blocked); one thread.
#pragma once

namespace swiftlet {

class Interrupts {
 public:
  Interrupts();
  ~Interrupts();
  Interrupts(const Interrupts&) = delete;
  Interrupts& operator=(const Interrupts&) = delete;

  // Can be read when Ctrl-C was pressed since the last Clear.
  int descriptor() const { return descriptor_; }
  // Whether it was; it no longer counts then.
  bool Clear();

 private:
  int descriptor_ = -1;
};

}  // namespace swiftlet
