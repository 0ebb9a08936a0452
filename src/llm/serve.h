// One call of any language model API, from the request that was read to the last byte of its answer.
#pragma once

#include <memory>
#include <string_view>

#include "flow/call.h"
#include "llm/lane.h"

namespace penstock::llm {

// 32 MiB: a conversation with a dozen images in base64.
constexpr std::uint64_t kRequestBytesMax = 32U << 20;

// Admits the call, finds its route, asks the targets, translating where they speak another dialect, and answers: whole,
// as a stream, or with an error in the client's dialect. Before it: the caller is identified, the body is read, and
// call.model and a rough call.input_tokens are set. `request` and what it refers to outlive the task.
rt::Task<void> serve(flow::Call& call, const Lane& lane, Request& request);

// For who has to know before serve() whether the call is admitted: finds the route of call.model and says what the call
// may use. After flow::admit() has passed it, request.route is that route. The error is one to show after admit().
Result<std::shared_ptr<const Route>> prepare(flow::Call& call, const Lane& lane, Request& request);

// The plan of the core the call is on.
const std::shared_ptr<const Plan>& plan_of(const flow::Call& call, const Lane& lane);

// The route without targets whose price nobody knows, when it does not want these; an error when it has no others.
Result<std::shared_ptr<const Route>> askable(const std::shared_ptr<const Route>& route, base::WallMicros now);

// A route the caller may use, for calls about a model and not to it: identified already. An error has a hint.
Result<std::shared_ptr<const Route>> visible_route(flow::Call& call, const Lane& lane, std::string_view model);
// Their names, sorted.
std::vector<std::string> visible_routes(const flow::Call& call, const Lane& lane);

}  // namespace penstock::llm
