// Linked into every program of a ThreadSanitizer build; its run time asks for this by name (sanitizer/tsan_interface.h).
// Only libraries, whose packages are not instrumented, so that their locks and counts are not seen. Never ours.
extern "C" const char* __tsan_default_suppressions();
extern "C" const char* __tsan_default_suppressions() {
  return "race:libspdlog.so\nrace:libssl.so\nrace:libcrypto.so\n"
         "race:absl::debian3::Status::Unref\n";  // the last count given back inside the packaged library is not seen
}
