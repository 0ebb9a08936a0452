#include "ext/steps/do/read_back.h"

#include "base/quantity.h"

namespace penstock::ext::steps {
namespace {

// What time does not mend: the configuration has no such point any more, or the device does not give it.
bool lasting(Errc code) {
  return code == Errc::not_found || code == Errc::permission_denied || code == Errc::unimplemented ||
         code == Errc::invalid_argument;
}

std::string blind_too(const std::string& why, const Doubt& doubt) {
  return fmt::format("{}; nothing can be read back of {}: look there", why, doubt.blind);
}

void list(std::string& out, const Deed& deed) { out += (out.empty() ? "" : "; ") + deed.text(); }

}  // namespace

Doubt doubt_of(const std::vector<std::shared_ptr<Deed>>& deeds) {
  Doubt doubt;
  for (const auto& deed : deeds) {
    if (auto wanted = deed->wanted()) {
      doubt.points.push_back(std::move(*wanted));
    } else {
      list(doubt.blind, *deed);
    }
  }
  return doubt;
}

Doubt doubt_at(const std::vector<std::shared_ptr<Deed>>& deeds, std::size_t at) {
  Doubt doubt;
  auto wanted = deeds[at]->wanted();
  if (!wanted) return doubt;
  doubt.points.push_back(std::move(*wanted));
  for (std::size_t i = at + 1; i < deeds.size(); ++i) list(doubt.skipped, *deeds[i]);
  return doubt;
}

std::string nobody_knows(const Doubt& doubt) {
  return fmt::format("it may have been made or not, and is not repeated; {}",
                     doubt.points.empty() ? "look at the machine" : "it is read back as soon as the machine answers");
}

void ReadBack::begin(const std::string& id, Doubt doubt, base::Duration patience, base::SteadyTime now) {
  if (doubt.points.empty()) return;
  looks_.insert_or_assign(id, Look{.doubt = std::move(doubt), .patience = patience, .since = now, .due = now});
}

void ReadBack::drop(const std::string& id) { looks_.erase(id); }

std::optional<ReadBack::Question> ReadBack::next(base::SteadyTime now) {
  if (asked_) return std::nullopt;
  const auto longest = std::min_element(looks_.begin(), looks_.end(),
                                        [](const auto& a, const auto& b) { return a.second.due < b.second.due; });
  if (longest == looks_.end() || longest->second.due > now) return std::nullopt;
  const auto& [id, look] = *longest;
  const Wanted& wanted = look.doubt.points[look.at];
  asked_ = Asked{++asked_before_, id, now + look.patience + kPortGrace};
  return Question{asked_->number, {.source = wanted.source, .point = wanted.point, .timeout = look.patience}};
}

std::optional<std::uint64_t> ReadBack::overdue(base::SteadyTime now) const {
  return asked_ && now >= asked_->until ? std::optional(asked_->number) : std::nullopt;
}

std::optional<ReadBack::Finding> ReadBack::answered(std::uint64_t number, const Result<ingest::Value>& read,
                                                    base::SteadyTime now) {
  if (!asked_ || asked_->number != number) return std::nullopt;
  const std::string id = std::exchange(asked_, std::nullopt)->id;
  auto found = looks_.find(id);
  if (found == looks_.end()) return std::nullopt;
  Verdict verdict = judge(found->second, read, now);
  if (!verdict) return std::nullopt;
  looks_.erase(found);
  return Finding{id, std::move(verdict->first), std::move(verdict->second)};
}

ReadBack::Verdict ReadBack::judge(Look& look, const Result<ingest::Value>& read, base::SteadyTime now) {
  const base::SteadyTime believed = look.since + look.patience;
  const Wanted& wanted = look.doubt.points[look.at];
  if (read && wanted.met_by(*read)) {
    look.read.push_back(fmt::format("{} reads {}", wanted.name(), text_of(*read)));
    look.due = now;
    return ++look.at < look.doubt.points.size() ? std::nullopt : all_read(look);
  }
  if (now >= believed) {
    if (!read) {
      if (auto given_up = not_read(look, read.error(), now)) return given_up;
    } else {
      look.read.push_back(
          fmt::format("{} was to be {} and reads {}", wanted.name(), text_of(wanted.value), text_of(*read)));
      return otherwise(look);
    }
  }
  look.due = now + std::exchange(look.pause, std::min(look.pause * 2, kPauseMax));
  if (now < believed) look.due = std::min(look.due, believed);
  return std::nullopt;
}

ReadBack::Verdict ReadBack::not_read(const Look& look, const Error& why, base::SteadyTime now) {
  if (lasting(why.code))
    return std::pair("unknown", fmt::format("it cannot be read back: {}; look at the machine", why.detail));
  if (now < look.since + kLookFor) return std::nullopt;
  return std::pair("unknown", fmt::format("it could not be read back within {}: {}; look at the machine",
                                          base::format_duration(kLookFor), why.detail));
}

// A machine may take its point back once it has done what it says: what stands behind the points may be made all the
// same.
ReadBack::Verdict ReadBack::otherwise(const Look& look) {
  std::string why =
      fmt::format("read back: {}; it was not made, or has been changed since", fmt::join(look.read, ", "));
  if (look.doubt.blind.empty()) return std::pair("failed", std::move(why));
  return std::pair("unknown", blind_too(why, look.doubt));
}

ReadBack::Verdict ReadBack::all_read(const Look& look) {
  std::string why = fmt::format("read back: {}", fmt::join(look.read, ", "));
  if (!look.doubt.skipped.empty())
    return std::pair("failed", fmt::format("{}; not made after it: {}", why, look.doubt.skipped));
  if (!look.doubt.blind.empty()) return std::pair("unknown", blind_too(why, look.doubt));
  return std::pair("confirmed", std::move(why));
}

}  // namespace penstock::ext::steps
