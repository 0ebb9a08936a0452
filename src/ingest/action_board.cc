#include "ingest/action_board.h"

#include "json/value.h"

namespace penstock::ingest {
namespace {

std::string hold_key(const std::string& pipeline, const std::string& name) {
  return fmt::format(".hold/{}/{}", pipeline, name);
}

std::string to_text(const ActionHold& hold) {
  std::string out = "{\"by\":";
  json::append_quoted(out, hold.by);
  out += ",\"why\":";
  json::append_quoted(out, hold.why);
  return out + fmt::format(",\"at\":{}}}", hold.at);
}

// What cannot be read holds all the same.
ActionHold hold_from(const std::string& text) {
  auto value = json::parse(text);
  if (!value) return {.by = "", .why = "what was remembered of this hold cannot be read", .at = 0};
  return {.by = std::string(json::string_or(*value, "by", "")),
          .why = std::string(json::string_or(*value, "why", "")),
          .at = json::int_or(*value, "at", 0)};
}

std::unexpected<Error> no_action(const std::string& pipeline, const std::string& name) {
  return fail(Errc::not_found,
              fmt::format("pipeline '{}' has no action '{}'; `penstock action list` shows them", pipeline, name));
}

}  // namespace

void ActionBoard::enter(const ActionStatus& action, std::weak_ptr<ActionHandle> handle) {
  std::lock_guard lock(mutex_);
  Entry& entry = entries_[Key(action.pipeline, action.name)];
  auto counts = std::move(entry.status.counts);
  auto last = std::move(entry.status.last);
  entry = {action, std::move(handle)};
  entry.status.counts = std::move(counts);
  entry.status.last = std::move(last);
  if (state_ == nullptr) return;
  if (auto kept = state_->get(hold_key(action.pipeline, action.name))) entry.status.hold = hold_from(*kept);
}

void ActionBoard::leave(const std::string& pipeline, const std::string& name, const ActionHandle* handle) {
  std::lock_guard lock(mutex_);
  auto found = entries_.find(Key(pipeline, name));
  if (found == entries_.end()) return;
  auto there = found->second.handle.lock();
  if (!there || there.get() == handle) entries_.erase(found);
}

std::optional<ActionHold> ActionBoard::hold_of(const std::string& pipeline, const std::string& name) const {
  std::lock_guard lock(mutex_);
  auto found = entries_.find(Key(pipeline, name));
  return found == entries_.end() ? std::nullopt : found->second.status.hold;
}

void ActionBoard::note(const ActionEvent& event) {
  {
    std::lock_guard lock(mutex_);
    auto found = entries_.find(Key(event.pipeline, event.name));
    if (found != entries_.end()) {
      ++found->second.status.counts[event.what];
      found->second.status.last = event;
    }
    if (event.what == "begun") {
      under_way_.try_emplace(event.id, event.pipeline, event.name, event.device);
    } else if (!event.id.empty()) {
      under_way_.erase(event.id);
    }
  }
  if (noted_) noted_(event);
}

bool ActionBoard::under_way(const std::string& id) const {
  std::lock_guard lock(mutex_);
  return under_way_.contains(id);
}

bool ActionBoard::under_way(const std::string& pipeline, const std::string& name, const std::string& device) const {
  std::lock_guard lock(mutex_);
  return std::any_of(under_way_.begin(), under_way_.end(),
                     [&](const auto& one) { return one.second == std::tie(pipeline, name, device); });
}

Result<void> ActionBoard::change_hold(const Key& key, std::optional<ActionHold> hold, ActionEvent event) {
  {
    std::lock_guard lock(mutex_);
    auto found = entries_.find(key);
    if (found == entries_.end()) return no_action(key.first, key.second);
    if (!hold && !found->second.status.hold)
      return fail(Errc::failed_precondition, fmt::format("nobody holds the action '{}'", key.second));
    if (state_ != nullptr) {
      if (hold) {
        state_->put(hold_key(key.first, key.second), to_text(*hold));
      } else {
        state_->erase(hold_key(key.first, key.second));
      }
    }
    found->second.status.hold = std::move(hold);
    event.action = found->second.status.action;
  }
  event.pipeline = key.first;
  event.name = key.second;
  event.at = clock_->wall();
  note(event);
  return {};
}

Result<void> ActionBoard::hold(const std::string& pipeline, const std::string& name, ActionHold hold) {
  ActionEvent event{.what = "held", .why = hold.why, .actor = hold.by};
  return change_hold(Key(pipeline, name), std::move(hold), std::move(event));
}

Result<void> ActionBoard::release(const std::string& pipeline, const std::string& name, const std::string& actor) {
  return change_hold(Key(pipeline, name), std::nullopt, {.what = "released", .actor = actor});
}

Result<void> ActionBoard::force(const std::string& pipeline, const std::string& name, const std::string& device,
                                const std::string& actor, const std::string& why) {
  std::shared_ptr<ActionHandle> handle;
  {
    std::lock_guard lock(mutex_);
    auto found = entries_.find(Key(pipeline, name));
    if (found != entries_.end()) handle = found->second.handle.lock();
  }
  if (!handle) return no_action(pipeline, name);
  handle->force(device, actor, why);
  return {};
}

std::vector<ActionStatus> ActionBoard::list() const {
  std::lock_guard lock(mutex_);
  std::vector<ActionStatus> result;
  for (const auto& [key, entry] : entries_) result.push_back(entry.status);
  return result;
}

}  // namespace penstock::ingest
