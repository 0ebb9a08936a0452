#include "infer/model_source.h"

#include <charconv>
#include <filesystem>

#include "artifact/sealed_file.h"
#include "artifact/verified_files.h"
#include "infer/shown_text.h"

namespace penstock::infer {
namespace {

namespace fs = std::filesystem;

std::unexpected<Error> at(const std::string& path, Error error) {
  if (error.detail.find(path) == std::string::npos) error.detail = path + ": " + error.detail;
  return std::unexpected(std::move(error));
}

// One version's files while one of them is opened.
class Source {
 public:
  Source(const ModelConfig& config, const InferenceConfig& inference, const artifact::Files& files)
      : config_(config), bytes_max_(inference.file_bytes_max), files_(files) {}

  // Errors: those of VerifiedFiles; permission_denied for another model's signature.
  Result<void> verify(std::int64_t version);
  Result<ModelFile> open(const std::string& path, const std::string& name);

 private:
  Result<std::string> read(const std::string& name);
  Result<void> take_external(const ModelOutline& outline, ModelFile& file);

  const ModelConfig& config_;
  const std::uint64_t bytes_max_;
  const artifact::Files& files_;
  std::optional<artifact::VerifiedFiles> verified_;
};

Result<void> Source::verify(std::int64_t version) {
  if (config_.origin.signed_by.empty()) {
    return fail(Errc::failed_precondition,
                fmt::format("inference.require_signature is set, and the model '{}' has no signed_by: say whose "
                            "signature counts",
                            config_.name));
  }
  auto keys = artifact::PublicKey::parse(config_.origin.signed_by);
  if (!keys) return std::unexpected(std::move(keys.error()));
  auto verified = artifact::VerifiedFiles::open(files_, *keys);
  if (!verified) return std::unexpected(std::move(verified.error()));
  const artifact::Claims& claims = verified->claims();
  if (!claims.model.empty() && claims.model != config_.name) {
    return fail(Errc::permission_denied, fmt::format("{}: it was signed as the model '{}', not '{}'", files_.name(),
                                                     claims.model, config_.name));
  }
  if (claims.version != 0 && version != 0 && claims.version != version) {
    return fail(Errc::permission_denied,
                fmt::format("{}: it was signed as version {}, not {}", files_.name(), claims.version, version));
  }
  verified_.emplace(std::move(*verified));
  return {};
}

Result<std::string> Source::read(const std::string& name) {
  auto bytes = verified_ ? verified_->read(name, bytes_max_) : files_.read(name, bytes_max_);
  if (!bytes) return bytes;
  bool sealed = artifact::is_sealed(*bytes);
  const base::Secret& written = config_.origin.encryption_key;
  std::string place = files_.name() + "/" + name;
  if (!sealed && !written.empty()) {
    return fail(Errc::failed_precondition,
                fmt::format("{}: it is not encrypted, and the model has an encryption_key; `penstock artifact encrypt` "
                            "encrypts it",
                            place));
  }
  if (!sealed) return bytes;
  if (written.empty())
    return fail(Errc::failed_precondition,
                fmt::format("{}: it is encrypted; the model needs its encryption_key", place));
  auto key = artifact::parse_encryption_key(written);
  if (!key) return std::unexpected(std::move(key.error()));
  auto plain = artifact::unseal(std::move(*bytes), *key);
  if (!plain) return at(place, std::move(plain.error()));
  return plain;
}

Result<void> Source::take_external(const ModelOutline& outline, ModelFile& file) {
  for (const ExternalData& external : outline.external) {
    auto& bytes = file.beside[external.location];
    if (!bytes) {
      auto read = this->read(external.location);
      if (!read) return std::unexpected(std::move(read.error()));
      bytes = artifact::wiped_at_end(std::move(*read));
    }
    if (external.offset > bytes->size() || external.length > bytes->size() - external.offset) {
      return fail(Errc::data_loss,
                  fmt::format("the weights of '{}' reach beyond the end of '{}'", external.tensor, external.location));
    }
  }
  return {};
}

Result<ModelFile> Source::open(const std::string& path, const std::string& name) {
  auto bytes = read(name);
  if (!bytes) return std::unexpected(std::move(bytes.error()));
  auto outline = scan_model(*bytes);
  if (!outline) return at(path, std::move(outline.error()));
  ModelFile file;
  file.path = path;
  file.bytes = artifact::wiped_at_end(std::move(*bytes));
  if (auto taken = take_external(*outline, file); !taken) return at(path, std::move(taken.error()));
  if (verified_) {
    if (auto rest = verified_->check_rest(bytes_max_); !rest) return std::unexpected(std::move(rest.error()));
  }
  return file;
}

// A plain file: the runtime opens it itself, and maps its weights. They may stand nowhere but in its folder.
Result<ModelFile> open_plain(const InferenceConfig& inference, const std::string& path,
                             const artifact::DiskFiles& folder) {
  auto bytes = artifact::read_file(path, inference.file_bytes_max);
  if (!bytes) return std::unexpected(std::move(bytes.error()));
  if (artifact::is_sealed(*bytes))
    return fail(Errc::failed_precondition, path + ": it is encrypted; the model needs its encryption_key");
  auto outline = scan_model(*bytes);
  if (!outline) return at(path, std::move(outline.error()));
  for (const ExternalData& external : outline->external) {
    auto size = folder.size(external.location);
    if (!size) return at(path, std::move(size.error()));
    if (external.offset > *size || external.length > *size - external.offset) {
      return at(path, {Errc::data_loss, fmt::format("the weights of '{}' reach beyond the end of '{}'", external.tensor,
                                                    external.location)});
    }
  }
  return ModelFile{.path = path};
}

// The number of a version folder; 0 for one that is none.
std::int64_t version_of(const fs::path& folder) {
  std::string name = folder.filename().string();
  std::int64_t number = 0;
  auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  return error == std::errc() && end == name.data() + name.size() ? number : 0;
}

// Refusals quote the file.
Result<ModelFile> shown(Result<ModelFile> opened) {
  if (!opened) opened.error().detail = shown_text(std::move(opened.error().detail));
  return opened;
}

}  // namespace

bool needs_signature(const ModelConfig& config, const InferenceConfig& inference) {
  return inference.require_signature || !config.origin.signed_by.empty();
}

Result<ModelFile> open_model(const ModelConfig& config, const InferenceConfig& inference, const std::string& path) {
  fs::path file(path);
  fs::path parent = file.has_parent_path() ? file.parent_path() : fs::path(".");
  auto folder = artifact::DiskFiles::open(parent.string());
  if (!folder) return std::unexpected(std::move(folder.error()));
  bool signature = needs_signature(config, inference);
  if (!signature && config.origin.encryption_key.empty()) return open_plain(inference, path, *folder);
  Source source(config, inference, *folder);
  if (signature) {
    if (auto verified = source.verify(version_of(parent)); !verified)
      return std::unexpected(std::move(verified.error()));
  }
  return source.open(path, file.filename().string());
}

Result<ModelFile> open_given_model(const ModelConfig& config, const InferenceConfig& inference, std::int64_t version,
                                   const GivenFiles& files, const std::string& name) {
  artifact::MemoryFiles folder(std::to_string(version), files);
  Source source(config, inference, folder);
  if (needs_signature(config, inference)) {
    if (auto verified = source.verify(version); !verified) return std::unexpected(std::move(verified.error()));
  }
  return source.open(fmt::format("{}/{}", version, name), name);
}

FileHooks checked_files() {
  FileHooks hooks;
  hooks.open_file = [](const auto&... what) { return shown(open_model(what...)); };
  hooks.open_given = [](const auto&... what) { return shown(open_given_model(what...)); };
  return hooks;
}

}  // namespace penstock::infer
