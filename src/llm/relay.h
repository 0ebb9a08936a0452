// Calls of an API whose bodies pass through, read only as far as to know whom they are for: who may ask, the body on to
// the provider, its answer back. Bodies and answers of any size flow with bounded memory.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "llm/ask.h"
#include "llm/lane.h"
#include "llm/relay_answer.h"

namespace penstock::llm {

class Upload;

// 4 MiB: a text to be spoken or painted, and then some.
constexpr std::uint64_t kTextBodyBytesMax = 4U << 20;
// 32 MiB: pictures or documents to be judged.
constexpr std::uint64_t kMediaBodyBytesMax = 32U << 20;

// One kind of call with a JSON object as its body.
struct JsonCall {
  std::string_view path;  // below the provider's base URL
  std::string_view text;  // the field whose size stands for the input's tokens until the answer tells them
  std::uint64_t bytes_max = kTextBodyBytesMax;
  // Not empty: the body need not name a model. Then it is for a provider, as with Relay::ask().
  std::string_view service = {};
  bool images = false;   // makes pictures: the field `n` says how many
  bool answers = false;  // makes what tokens are paid for
  flow::Capability needs = flow::Capability::chat;
};

class Relay {
 public:
  // For the API of `family`: only providers that speak it are asked. `fields`: those of the client's header fields that
  // providers get too.
  Relay(const Lane& lane, Family family, std::vector<std::string_view> fields = {})
      : lane_(lane), family_(family), fields_(std::move(fields)) {}

  // JSON in; the name of the model in it is replaced by the provider's own.
  rt::Task<void> send_json(flow::Call& call, JsonCall what) const;
  // A form in that names its model. `path` as in JsonCall.
  rt::Task<void> send_form(flow::Call& call, std::string_view path) const;
  // What belongs to a provider and not to a model: the one that the header x-penstock-provider names, or the first by
  // name. For keys it is the model PROVIDER/SERVICE. Method, path below /v1, query and body go on as they are.
  enum class Body : std::uint8_t { none, json, form };
  rt::Task<void> ask(flow::Call& call, std::string_view service, Body kind) const;

  // A call without a body that is about what this provider keeps, from a caller who is identified and may make it.
  rt::Task<void> pass_to(flow::Call& call, std::string_view provider) const;

  // The route of call.model, without targets of other families, when the caller may use it; null after a refusal.
  rt::Task<std::shared_ptr<const Route>> route_for(flow::Call& call, Passage passage = {}) const;

 private:
  std::size_t core_of(flow::Call& call) const { return static_cast<std::size_t>(call.exchange.loop().index()); }
  rt::Task<std::shared_ptr<const Route>> route_to_provider(flow::Call& call, std::string_view service,
                                                           Passage passage) const;
  Result<std::shared_ptr<const Route>> speaking(std::shared_ptr<const Route> route) const;
  std::string lines_of(flow::Call& call) const;
  rt::Task<void> upload(flow::Call& call, Upload& body, std::shared_ptr<const Route> route, PassHead head,
                        std::optional<Passage> charged) const;
  rt::Task<void> send(flow::Call& call, std::shared_ptr<const Route> route, PassHead head,
                      PassThrough::BodyFor body_for, std::optional<Passage> charged) const;

  const Lane& lane_;
  Family family_;
  std::vector<std::string_view> fields_;
};

}  // namespace penstock::llm
