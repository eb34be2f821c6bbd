#include "tools/swiftlet/chat/interrupts.h"

#include <pthread.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "engine/base/check.h"

namespace swiftlet {
namespace {

sigset_t InterruptSet() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  return set;
}

}  // namespace

Interrupts::Interrupts() {
  const sigset_t set = InterruptSet();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  descriptor_ = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
  CHECK(descriptor_ >= 0) << "no descriptor for SIGINT";
}

Interrupts::~Interrupts() {
  Clear();
  close(descriptor_);
  const sigset_t set = InterruptSet();
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

bool Interrupts::Clear() {
  bool found = false;
  signalfd_siginfo signal;
  while (read(descriptor_, &signal, sizeof(signal)) == sizeof(signal)) found = true;
  return found;
}

}  // namespace swiftlet
