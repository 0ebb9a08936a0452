#include <charconv>

#include "ext/apis/oip/oip_api.h"
#include "rt/await.h"

namespace penstock::ext {
namespace {

namespace oip = infer::oip;

// A request with tensors in JSON is several times the size of its tensors.
constexpr std::uint64_t kBodyBytesMax = 256U << 20;

Result<std::optional<std::size_t>> json_bytes_of(const http::Request& request) {
  std::string_view value = request.field(wire::FieldId::inference_header_content_length);
  if (value.empty()) return std::optional<std::size_t>{};
  std::size_t length = 0;
  auto [end, ec] = std::from_chars(value.data(), value.data() + value.size(), length);
  if (ec != std::errc{} || end != value.data() + value.size()) {
    return fail(Errc::invalid_argument, "Inference-Header-Content-Length must be the number of bytes of the JSON part");
  }
  return std::optional<std::size_t>(length);
}

bool is_raw(const flow::Call& call) {
  return call.exchange.request().field(wire::FieldId::inference_header_content_length) == "0";
}

// What makes the request stick to a version, unless it stands in the body.
std::string sticky_of(const flow::Call& call, const infer::TrafficConfig& traffic) {
  using Sticky = infer::TrafficConfig::Sticky;
  switch (traffic.sticky) {
    case Sticky::key: return call.key == nullptr ? std::string() : std::string(call.key->name().view());
    case Sticky::header: return std::string(call.exchange.request().field(traffic.sticky_name));
    case Sticky::parameter:
    case Sticky::none: return {};
  }
  return {};
}

// Stops the request when its client leaves or its time is up.
class Patience {
 public:
  Patience(http::Exchange& exchange, infer::Request& request, base::SteadyTime deadline)
      : exchange_(exchange), timer_(exchange.loop()) {
    request.stop = source_.get_token();
    exchange_.on_client_gone([this] { source_.request_stop(); });
    timer_.arm_at(deadline, [this] { source_.request_stop(); });
  }
  ~Patience() { exchange_.on_client_gone(nullptr); }
  Patience(const Patience&) = delete;
  Patience& operator=(const Patience&) = delete;

 private:
  http::Exchange& exchange_;
  std::stop_source source_;
  rt::Timer timer_;
};

rt::Task<void> respond(flow::Call& call, oip::Answer answer) {
  call.event.status = 200;
  http::ResponseHead head(200);
  head.add("content-type", answer.header_length ? "application/octet-stream" : "application/json");
  if (answer.header_length)
    head.add("Inference-Header-Content-Length", static_cast<std::int64_t>(*answer.header_length));
  flow::add_common_fields(call, head);
  co_await call.exchange.respond(std::move(head), answer.body);
}

}  // namespace

Result<oip::InferCall> OipApi::read(flow::Call& call, std::string_view body, const Result<Served>& served) const {
  auto json_bytes = json_bytes_of(call.exchange.request());
  if (!json_bytes) return std::unexpected(json_bytes.error());
  if (!served && (is_raw(call) || served.error().code != Errc::unavailable)) return std::unexpected(served.error());
  oip::InferHead head{.json_bytes = *json_bytes};
  if (!served) return oip::parse_infer(body, head);
  const infer::TrafficConfig& traffic = (*served)->config->traffic;
  head.model = &(*served)->model->info();
  if (traffic.sticky == infer::TrafficConfig::Sticky::parameter) head.sticky = traffic.sticky_name;
  auto wanted = oip::parse_infer(body, head);
  if (wanted && head.sticky.empty()) wanted->request.sticky = sticky_of(call, traffic);
  return wanted;
}

rt::Task<Result<infer::Response>> OipApi::run(flow::Call& call, infer::Request request) {
  base::SteadyTime deadline = call.exchange.loop().now() + std::max(about_.patience, request.timeout);
  Patience patience(call.exchange, request, deadline);
  std::function<void(infer::Engine::Done)> start = [&](infer::Engine::Done done) {
    engine_.infer(call.exchange.loop(), std::move(request), deadline, std::move(done));
  };
  rt::Callback<Result<infer::Response>> running(call.exchange.loop(), std::move(start));
  auto response = co_await running;
  if (!response && response.error().code == Errc::cancelled && call.exchange.loop().now() >= deadline) {
    co_return fail(Errc::deadline_exceeded,
                   "the model took too long; a request that may take longer says so in its parameter 'timeout'");
  }
  co_return response;
}

rt::Task<void> OipApi::infer(flow::Call& call, http::Params params) {
  call.model = http::param(params, "m");
  call.needs.add(flow::Capability::infer);
  auto body = co_await flow::identify_and_read(call, kBodyBytesMax);
  if (!body) co_return;
  auto admitted = co_await flow::admit(call);
  if (!admitted) {
    co_await flow::refuse(call, admitted.error());
    co_return;
  }
  std::string version(http::param(params, "v"));
  auto served = repository_.find(call.model, version);
  // Only a model in memory can say what raw bytes are.
  if (!served && is_raw(call)) served = co_await at_hand(call, version);
  auto wanted = read(call, *body, served);
  if (!wanted) {
    co_await flow::refuse(call, wanted.error());
    co_return;
  }
  infer::Request request = std::move(wanted->request);
  request.model = call.model;
  request.version = std::move(version);
  auto response = co_await run(call, std::move(request));
  if (response) {
    call.event.model = obs::intern(response->model);
    bool rows_first = served && oip::batches(*(*served)->config, (*served)->model->info());
    if (auto classified = oip::classify_outputs(*wanted, *response, rows_first); !classified)
      response = std::unexpected(classified.error());
  }
  if (!response) {
    co_await flow::refuse(call, response.error());
    co_return;
  }
  co_await respond(call, oip::encode_infer(*wanted, *response));
}

}  // namespace penstock::ext
