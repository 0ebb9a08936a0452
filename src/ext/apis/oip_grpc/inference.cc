#include "ext/apis/oip_grpc/inference.h"

namespace penstock::ext {
namespace {

namespace oip = infer::oip;
using Sticky = infer::TrafficConfig::Sticky;

// What makes requests of one kind go to one version, where that is not a parameter of the request.
std::string sticky_of(const flow::Call& call, const infer::TrafficConfig& traffic) {
  if (traffic.sticky == Sticky::key && call.key != nullptr) return std::string(call.key->name().view());
  if (traffic.sticky == Sticky::header) return std::string(call.exchange.request().field(traffic.sticky_name));
  return {};
}

}  // namespace

rt::Task<Result<Inference>> admit_inference(flow::Call& call, const infer::Repository& repository,
                                            std::string_view message, base::SteadyTime deadline) {
  constexpr base::Duration kPatience = std::chrono::seconds(30);
  auto topic = oip::peek_infer_message(message);
  if (!topic) co_return std::unexpected(topic.error());
  call.model = topic->model;
  call.needs.add(flow::Capability::infer);
  auto admitted = co_await flow::admit(call);
  if (!admitted) co_return std::unexpected(admitted.error());
  static const infer::TrafficConfig kPlain;
  auto served = repository.find(topic->model, topic->version);
  const infer::TrafficConfig& traffic = served ? (*served)->config->traffic : kPlain;
  bool by_parameter = traffic.sticky == Sticky::parameter;
  auto parsed = oip::parse_infer_message(message, by_parameter ? std::string_view(traffic.sticky_name) : "");
  if (!parsed) co_return std::unexpected(parsed.error());
  Inference inference{.wanted = std::move(*parsed)};
  infer::Request& request = inference.wanted.request;
  if (traffic.sticky != Sticky::none && !by_parameter) request.sticky = sticky_of(call, traffic);
  if (!inference.wanted.classes.empty() && served)
    inference.rows_first = oip::batches(*(*served)->config, (*served)->model->info());
  inference.deadline = deadline != base::SteadyTime::max()
                           ? deadline
                           : base::system_clock().steady() + std::max(kPatience, request.timeout);
  co_return inference;
}

Error run_error(Error error, base::SteadyTime deadline) {
  if (error.code == Errc::cancelled && base::system_clock().steady() >= deadline)
    return {Errc::deadline_exceeded, "the deadline of the call passed before the model was done"};
  return error;
}

}  // namespace penstock::ext
