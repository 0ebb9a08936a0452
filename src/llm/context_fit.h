// Whether a call's input fits into the context windows of its route's targets, and what of its history each of them is
// told when it does not. One call's own.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "llm/ask.h"
#include "llm/failure.h"
#include "llm/history.h"

namespace penstock::llm {

class ContextFit {
 public:
  explicit ContextFit(const Request& request);

  // The input as this target is told it; nothing when that was not worked out.
  std::optional<CountedInput> counted(const Target& target) const;
  // Makes the request what this target is told. True when the body is another than before: whatever was read of it has
  // to be read again.
  bool present(const Target& target, flow::Call& call, Request& request);

 private:
  friend class ContextCheck;
  struct Told {
    token::InputSize size;  // of what is left
    CountedInput input;
    std::vector<std::uint32_t> dropped;
  };
  // The client's request, and where things stand in it.
  std::string_view body_;
  json::Field model_;
  json::Field stream_options_;
  OutputWish output_;
  std::optional<History> history_;
  std::map<std::string_view, Told> told_;  // by the target's label
  std::string trimmed_;                    // the body of the last one that was told less
  const std::vector<std::uint32_t>* presented_ = nullptr;
};

// Before the call is admitted, and before it is said what it may use: for routes with a context rule, leaves those
// targets out that the input does not fit and sets request.context for the others. Needs what the body says of the
// output, and the request's codec; without one nothing is checked. The error has the numbers, and words that the
// client's library knows; call.event.over_context tells it from others.
Result<std::shared_ptr<const Route>> fit_context(flow::Call& call, const std::shared_ptr<const Route>& route,
                                                 Request& request);

}  // namespace penstock::llm
