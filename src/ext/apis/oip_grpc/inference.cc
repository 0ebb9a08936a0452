#include "ext/apis/oip_grpc/inference.h"

#include "infer/classify.h"

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

bool batches_rows(const infer::Served& served) {
  auto open_first = [](const infer::TensorSpec& spec) { return !spec.shape.empty() && spec.shape.front() < 0; };
  const infer::ModelInfo& info = served.model->info();
  return served.config->batch.max > 1 && std::ranges::all_of(info.inputs, open_first) &&
         std::ranges::all_of(info.outputs, open_first);
}

}  // namespace

rt::Task<Result<void>> admit_inference(flow::Call& call, const infer::Repository& repository, std::string_view message,
                                       oip::InferCall& wanted) {
  auto topic = oip::peek_infer_message(message);
  if (!topic) co_return std::unexpected(topic.error());
  call.model = topic->model;
  call.needs.add(flow::Capability::infer);
  auto admitted = co_await flow::admit(call);
  if (!admitted) co_return admitted;
  auto served = repository.find(call.model, {});
  static const infer::TrafficConfig kPlain;
  const infer::TrafficConfig& traffic = served ? (*served)->config->traffic : kPlain;
  auto parsed = oip::parse_infer_message(
      message, traffic.sticky == Sticky::parameter ? std::string_view(traffic.sticky_name) : std::string_view());
  if (!parsed) co_return std::unexpected(parsed.error());
  wanted = std::move(*parsed);
  if (wanted.request.sticky.empty() && traffic.sticky != Sticky::none) wanted.request.sticky = sticky_of(call, traffic);
  co_return Result<void>{};
}

base::SteadyTime inference_deadline(base::SteadyTime client, const oip::InferCall& wanted) {
  // Without a word about time a request waits this long for its turn.
  constexpr base::Duration kPatience = std::chrono::seconds(30);
  base::SteadyTime now = base::system_clock().steady();
  base::SteadyTime latest = client == base::SteadyTime::max() ? now + kPatience : client;
  return wanted.request.timeout.count() > 0 ? std::min(latest, now + wanted.request.timeout) : latest;
}

Result<void> classify_wanted(const oip::InferCall& wanted, const infer::Repository& repository,
                             infer::Response& response) {
  for (std::size_t i = 0; i < std::min(wanted.classes.size(), response.outputs.size()); ++i) {
    if (wanted.classes[i] == 0) continue;
    auto served = repository.find(response.model, response.version);
    bool by_row = served && batches_rows(**served);
    auto classes = infer::classify(response.outputs[i], wanted.classes[i], by_row);
    if (!classes) return std::unexpected(classes.error());
    response.outputs[i] = std::move(*classes);
  }
  return {};
}

Error run_error(Error error, base::SteadyTime deadline) {
  if (error.code == Errc::cancelled && base::system_clock().steady() >= deadline)
    return {Errc::deadline_exceeded, "the deadline of the call passed before the model was done"};
  return error;
}

}  // namespace penstock::ext
