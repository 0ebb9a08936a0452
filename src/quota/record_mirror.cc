#include "quota/record_mirror.h"

namespace penstock::quota {
namespace {

// Some milliseconds of SQLite and less than a megabyte on the wire.
constexpr std::size_t kBatch = 500;

}  // namespace

void RecordMirror::restart() {
  family_ = Family::unknown;
  taken_ = 0;
  put_ = 0;
}

Result<void> RecordMirror::meet(Share& share) {
  auto fingerprint = share.first("keys", keeper_->fingerprint());
  if (!fingerprint) return std::unexpected(fingerprint.error());
  family_ = *fingerprint == keeper_->fingerprint() ? Family::ours : Family::another;
  if (family_ == Family::another) {
    trouble_({Errc::failed_precondition,
              "stored keys are not shared: the gateways that share this store hash them with another secret.key; copy "
              "that of one of them into this gateway's data_dir before it makes keys of its own, and restart it"});
  }
  return {};
}

// Revocations of others are wanted first, so taking comes before putting.
Result<bool> RecordMirror::step(Share& share, const ShareAnswer& answer) {
  if (keeper_ == nullptr) return false;
  // Revisions only rise: one that is behind says that the store has lost it.
  if (answer.fresh || answer.revision < taken_) restart();
  if (family_ == Family::unknown) {
    if (auto met = meet(share); !met) return std::unexpected(met.error());
  }
  if (family_ == Family::another) return false;
  auto more_to_take = take(share, answer.revision);
  if (!more_to_take) return more_to_take;
  auto more_to_put = put(share);
  if (!more_to_put) return more_to_put;
  return *more_to_take || *more_to_put;
}

Result<bool> RecordMirror::take(Share& share, std::int64_t revision) {
  if (revision <= taken_) return false;
  auto found = share.changes(taken_, kBatch);
  if (!found) return std::unexpected(found.error());
  if (!found->records.empty()) {
    auto kept = keeper_->take(found->records);
    if (!worked(kept ? nullptr : &kept.error())) return false;
  }
  // Nothing above what was taken: what the revision rose by was changed again since, or is ours.
  taken_ = found->revision > taken_ ? found->revision : revision;
  return taken_ < revision;
}

Result<bool> RecordMirror::put(Share& share) {
  auto found = keeper_->changed(put_, kBatch);
  if (!worked(found ? nullptr : &found.error())) return false;
  if (!found->records.empty()) {
    if (auto done = share.put(found->records); !done) return std::unexpected(done.error());
  }
  put_ = found->revision;
  return found->records.size() == kBatch;
}

bool RecordMirror::worked(const Error* error) {
  if (error != nullptr && !keeper_failed_) trouble_(*error);
  keeper_failed_ = error != nullptr;
  return !keeper_failed_;
}

}  // namespace penstock::quota
