// A journal in memory.
#pragma once

#include <functional>
#include <map>

#include "infer/journal.h"

namespace penstock::infer {

class FakeJournal : public Journal {
 public:
  Result<void> append(const ModelEvent& event) override {
    if (!broken.empty()) return fail(Errc::backpressure, broken);
    events.insert(events.begin(), event);
    return {};
  }
  Result<std::vector<ModelEvent>> last(const std::string& model, std::size_t limit) const override {
    std::vector<ModelEvent> found;
    for (const ModelEvent& event : events) {
      if ((model.empty() || event.model == model) && found.size() < limit) found.push_back(event);
    }
    return found;
  }
  Result<void> keep(const std::string& model, const KeptState& state) override {
    if (!broken.empty()) return fail(Errc::backpressure, broken);
    ++writes;
    if (state.serial >= states[model].serial) states[model] = state;
    return {};
  }
  Result<KeptState> kept(const std::string& model) const override {
    if (!unreadable.empty()) return fail(Errc::data_loss, unreadable);
    auto found = states.find(model);
    return found == states.end() ? KeptState() : found->second;
  }
  Result<void> flush() override {
    if (on_flush) on_flush();
    if (!broken.empty()) return fail(Errc::resource_exhausted, broken);
    return {};
  }

  std::vector<ModelEvent> events;  // the newest first
  std::map<std::string, KeptState> states;
  int writes = 0;
  std::function<void()> on_flush;
  std::string unreadable;  // why nothing can be read; empty: it can
  std::string broken;      // why nothing can be written; empty: it can
};

}  // namespace penstock::infer
