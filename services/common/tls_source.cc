#include "services/common/tls_source.h"

#include <absl/strings/str_cat.h>

#include <utility>

#include "engine/base/status_macros.h"
#include "engine/base/string_view.h"
#include "services/common/logging.h"

namespace swiftlet {

TlsFlags::TlsFlags(const std::string& prefix) : prefix(prefix) {
  paths.certificate_flag = absl::StrCat("--", prefix, "-certfile");
  paths.key_flag = absl::StrCat("--", prefix, "-keyfile");
  paths.authorities_flag = absl::StrCat("--", prefix, "-ca-certs");
}

void TlsFlags::AddTo(Flags& flags, const std::string& ours_help, const std::string& authorities_help) {
  flags.Add(absl::StrCat(prefix, "-certfile"), &paths.certificate, ours_help);
  flags.Add(absl::StrCat(prefix, "-keyfile"), &paths.key, "its key, PEM without a passphrase");
  flags.Add(absl::StrCat(prefix, "-ca-certs"), &paths.authorities, authorities_help);
}

absl::Status TlsFlags::Check(bool needs_authorities) const {
  const bool any = !paths.certificate.empty() || !paths.key.empty() || !paths.authorities.empty();
  if (!any) return absl::OkStatus();
  const auto missing = [](const std::string& flag, std::string_view others) {
    return absl::InvalidArgumentError(absl::StrCat(flag, " is missing: ", ToAbsl(others)));
  };
  const std::string_view others =
      needs_authorities ? "certificate, key and CA certificates go together" : "certificate and key go together";
  if (paths.certificate.empty()) return missing(paths.certificate_flag, others);
  if (paths.key.empty()) return missing(paths.key_flag, others);
  if (needs_authorities && paths.authorities.empty()) return missing(paths.authorities_flag, others);
  return absl::OkStatus();
}

std::vector<std::string> TlsFlags::files() const {
  std::vector<std::string> files = {paths.certificate, paths.key, paths.authorities};
  std::erase(files, "");
  return files;
}

TlsMetrics::TlsMetrics(Metrics& metrics)
    : readings(metrics.AddCounters("swiftlet_tls_file_readings_total",
                                   "Times that changed certificates were read again.", {"use", "result"})),
      expires(metrics.AddGauges("swiftlet_tls_certificate_expires_seconds",
                                "When the certificate in use expires, in seconds since 1970.", {"use"})) {}

absl::StatusOr<std::unique_ptr<TlsSource>> TlsSource::Open(const TlsFlags& flags, const std::string& use,
                                                           Metrics& metrics) {
  ASSIGN_OR_RETURN(std::shared_ptr<const TlsMaterial> material, ReadTlsMaterial(flags.paths));
  std::unique_ptr<TlsSource> source(new TlsSource(flags.paths, use, TlsMetrics(metrics)));
  source->Take(std::move(material));
  return source;
}

TlsSource::TlsSource(const TlsPaths& paths, const std::string& use, const TlsMetrics& metrics)
    : paths_(paths),
      use_(use),
      taken_(metrics.readings.Add({{"use", use}, {"result", "taken"}})),
      refused_(metrics.readings.Add({{"use", use}, {"result", "refused"}})),
      expires_(metrics.expires.Add({{"use", use}})) {}

void TlsSource::Take(std::shared_ptr<const TlsMaterial> material) {
  expires_.Set(static_cast<double>(material->expires_unix_s));
  std::lock_guard<std::mutex> lock(mutex_);
  material_ = std::move(material);
}

std::shared_ptr<const TlsMaterial> TlsSource::Get() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return material_;
}

void TlsSource::ReadAgain() {
  absl::StatusOr<std::shared_ptr<const TlsMaterial>> material = ReadTlsMaterial(paths_);
  (material.ok() ? taken_ : refused_).Increment();
  if (!material.ok()) {
    LogWarning("the certificates stay as they were", {{"use", use_}, {"reason", ToStd(material.status().message())}});
    return;
  }
  Take(*std::move(material));
  LogInfo("the certificates were read again", {{"use", use_}});
}

}  // namespace swiftlet
