#include "artifact/verified_files.h"

#include <algorithm>

#include "artifact/manifest.h"
#include "artifact/model_signing.h"

namespace penstock::artifact {
namespace {

bool is_signature(std::string_view path) {
  return path == kManifestFile || path == kManifestSignatureFile || path == kBundleFile;
}

std::unexpected<Error> refuse(std::string detail) { return fail(Errc::permission_denied, std::move(detail)); }

// Compares a file with what is claimed of it while its bytes pass.
class Comparison {
 public:
  explicit Comparison(const ClaimedFile& claim) : claim_(claim), hasher_(claim.hash) {}

  void update(std::string_view bytes) {
    while (same_ && !bytes.empty()) {
      if (part_ == claim_.parts.size()) {
        same_ = false;  // longer than claimed
        return;
      }
      const ClaimedPart& part = claim_.parts[part_];
      std::size_t taken = static_cast<std::size_t>(std::min<std::uint64_t>(bytes.size(), part.end - at_));
      hasher_.update(bytes.substr(0, taken));
      bytes.remove_prefix(taken);
      at_ += taken;
      if (at_ == part.end) close_part();
    }
  }

  bool finish() {
    if (part_ < claim_.parts.size() && claim_.parts[part_].end == ClaimedPart::kUnknownEnd) close_part();
    return same_ && part_ == claim_.parts.size() && (!claim_.size || *claim_.size == at_);
  }

 private:
  void close_part() { same_ = hasher_.finish() == claim_.parts[part_++].digest && same_; }

  const ClaimedFile& claim_;
  Hasher hasher_;
  std::size_t part_ = 0;
  std::uint64_t at_ = 0;
  bool same_ = true;
};

Result<SignedClaims> open_manifest(const Files& files, const std::vector<PublicKey>& keys) {
  constexpr std::uint64_t kSignatureBytesMax = 1024;
  auto text = files.read(std::string(kManifestFile), kManifestBytesMax);
  if (!text) return std::unexpected(std::move(text.error()));
  auto signature = files.read(std::string(kManifestSignatureFile), kSignatureBytesMax);
  if (!signature)
    return refuse(fmt::format("{}: {} is there without {}", files.name(), kManifestFile, kManifestSignatureFile));
  auto key =
      std::find_if(keys.begin(), keys.end(), [&](const PublicKey& one) { return one.verifies(*text, *signature); });
  if (key == keys.end()) {
    return refuse(
        fmt::format("{}: {} does not fit {} and a key in signed_by: it was signed with another key, or one of "
                    "both was changed",
                    files.name(), kManifestSignatureFile, kManifestFile));
  }
  auto claims = read_manifest(*text);
  if (!claims) return std::unexpected(std::move(claims.error()));
  return SignedClaims{std::move(*claims), key->id()};
}

Result<SignedClaims> open_signature(const Files& files, const std::vector<PublicKey>& keys) {
  if (files.has(std::string(kManifestFile))) return open_manifest(files, keys);
  auto bundle = files.read(std::string(kBundleFile), kBundleBytesMax);
  if (bundle) {
    auto opened = open_bundle(*bundle, keys);
    if (!opened) opened.error().detail = files.name() + ": " + opened.error().detail;
    return opened;
  }
  if (bundle.error().code != Errc::not_found) return std::unexpected(std::move(bundle.error()));
  return refuse(
      fmt::format("{}: it is not signed: there is neither {} with {} nor {}; sign it with `penstock artifact "
                  "sign --key KEY {}`",
                  files.name(), kManifestFile, kManifestSignatureFile, kBundleFile, files.name()));
}

}  // namespace

Result<VerifiedFiles> VerifiedFiles::open(const Files& files, const std::vector<PublicKey>& keys) {
  auto opened = open_signature(files, keys);
  if (!opened) return std::unexpected(std::move(opened.error()));
  VerifiedFiles verified(files);
  verified.claims_ = std::move(opened->claims);
  verified.key_id_ = std::move(opened->key_id);
  if (auto named = verified.check_names(); !named) return std::unexpected(std::move(named.error()));
  return verified;
}

Result<void> VerifiedFiles::check_names() const {
  if (claims_.single) return {};  // nothing is said about the others, and nothing else is read
  auto present = files_->list();
  if (!present) return std::unexpected(std::move(present.error()));
  for (const std::string& path : *present) {
    if (is_signature(path) || claims_.ignores(path) || claims_.find(path) != nullptr) continue;
    if (claims_.empty_files_unnamed && files_->read(path, 0)) continue;
    return refuse(fmt::format("{}/{}: it is not among the signed files; remove it, or sign the folder again",
                              files_->name(), path));
  }
  for (const ClaimedFile& file : claims_.files) {
    if (!std::binary_search(present->begin(), present->end(), file.path))
      return refuse(fmt::format("{}/{}: it was signed and is missing", files_->name(), file.path));
  }
  return {};
}

const ClaimedFile* VerifiedFiles::claim_of(const std::string& path) const {
  return claims_.single ? &claims_.files.front() : claims_.find(path);
}

Result<void> VerifiedFiles::check(const std::string& path, std::uint64_t bytes_max, const Files::Sink& sink) {
  const ClaimedFile* claim = claim_of(path);
  if (claim == nullptr) return refuse(fmt::format("{}/{}: it is not among the signed files", files_->name(), path));
  if (claims_.single && !checked_.empty() && !checked_.contains(path))
    return refuse(fmt::format("{}/{}: the signature is of one file alone", files_->name(), path));
  Comparison comparison(*claim);
  auto passed = files_->stream(path, bytes_max, [&](std::string_view piece) {
    comparison.update(piece);
    sink(piece);
  });
  if (!passed) return passed;
  if (!comparison.finish())
    return refuse(fmt::format("{}/{}: its bytes are not those that were signed: it is damaged, or somebody changed it",
                              files_->name(), path));
  checked_.insert(path);
  return {};
}

Result<std::string> VerifiedFiles::read(const std::string& path, std::uint64_t bytes_max) {
  std::string bytes;
  auto checked = check(path, bytes_max, [&](std::string_view piece) { bytes += piece; });
  if (!checked) return std::unexpected(std::move(checked.error()));
  return bytes;
}

Result<void> VerifiedFiles::check_rest(std::uint64_t bytes_max) {
  if (claims_.single) return {};
  for (const ClaimedFile& file : claims_.files) {
    if (checked_.contains(file.path)) continue;
    if (auto checked = check(file.path, bytes_max, [](std::string_view) {}); !checked) return checked;
  }
  return {};
}

Result<Claims> claim(const Files& files, std::uint64_t bytes_max) {
  auto present = files.list();
  if (!present) return std::unexpected(std::move(present.error()));
  Claims claims;
  for (const std::string& path : *present) {
    if (is_signature(path)) continue;
    Hasher hasher(HashType::sha256);
    std::uint64_t size = 0;
    auto passed = files.stream(path, bytes_max, [&](std::string_view piece) {
      hasher.update(piece);
      size += piece.size();
    });
    if (!passed) return std::unexpected(std::move(passed.error()));
    claims.files.push_back({.path = path, .size = size, .parts = {{.digest = hasher.finish()}}});
  }
  return claims;
}

}  // namespace penstock::artifact
