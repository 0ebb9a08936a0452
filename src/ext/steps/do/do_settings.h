// A `do` step as it is written.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "ext/steps/do/deed.h"
#include "ingest/expr.h"

namespace penstock::ext::steps {

// Of `at_most`: each start is remembered.
constexpr std::size_t kDoStartsMax = 1000;

// "wear.raised"
struct Trigger {
  std::string alarm;
  bool raised = true;
  std::string text() const { return alarm + (raised ? ".raised" : ".cleared"); }
};

struct DoSettings {
  std::string name = {};
  std::vector<Trigger> on = {};
  std::vector<std::shared_ptr<Deed>> deeds = {};
  base::Duration confirm_within{};
  std::size_t most = 0;  // starts within `per`; 0: any number
  base::Duration per{};
  base::Duration max_age{};
  std::optional<ingest::Expression> only_if = {};
  bool dry_run = false;
  bool alarm_on_failure = true;

  std::string failure() const { return name + "-failed"; }
  std::string on_text() const {
    std::string out;
    for (const Trigger& trigger : on) out += (out.empty() ? "" : ", ") + trigger.text();
    return out;
  }
  std::string action_text() const {
    std::string out;
    for (const auto& deed : deeds) out += (out.empty() ? "" : "; ") + deed->text();
    return out;
  }
};

// Nothing after a mistake, which is reported at its place. Enters the alarm of a failure in the table of the pipeline.
std::optional<DoSettings> read_do(const config::Node& node, const ingest::StepContext& context);

}  // namespace penstock::ext::steps
