#include "llm/local_provider.h"

namespace penstock::llm {
namespace {

std::unexpected<Error> not_sent() { return fail(Errc::unimplemented, "a local model turns texts into vectors only"); }

}  // namespace

LocalProvider::LocalProvider() {
  auto origin = std::make_shared<http::Origin>();
  origin->name = kLocalName;
  origin->url.scheme = "http";
  origin->url.host = kLocalName;
  origin_ = std::move(origin);
}

http::ClientTimeouts LocalProvider::timeouts() const {
  return {.first_byte = std::chrono::seconds(60), .idle = std::chrono::seconds(60), .total = std::chrono::seconds(60)};
}

Result<UpstreamRequest> LocalProvider::encode(const Request&, std::string_view, std::string_view) const {
  return not_sent();
}

Result<UpstreamRequest> LocalProvider::encode(const chat::Request&, std::string_view, std::string_view,
                                              chat::Dropped&) const {
  return not_sent();
}

Result<Usage> LocalProvider::read_answer(Operation, std::string_view) const { return not_sent(); }

EventVerdict LocalProvider::read_event(const Request&, const wire::SseEvent&, Usage&) const { return {}; }

Result<chat::Answer> LocalProvider::read_chat(const chat::Request&, std::string_view) const { return not_sent(); }

std::unique_ptr<chat::StreamReader> LocalProvider::stream_reader(const chat::Request&) const { return nullptr; }

chat::ProviderError LocalProvider::read_error(int, std::string_view) const { return {}; }

Target local_target(std::shared_ptr<const Provider> local, const std::string& model) {
  static const auto kFree = [] {
    auto entry = std::make_shared<price::Entry>();
    price::Price price;
    price.rates.input = 0;
    price.rates.output = 0;
    entry->prices.push_back(std::move(price));
    entry->source = price::Source::configuration;
    return entry;
  }();
  Target target;
  target.label = obs::intern(fmt::format("{}/{}", kLocalName, model));
  target.provider = std::move(local);
  target.model = model;
  target.local = true;
  target.sold = kFree;
  target.calibration = std::make_shared<token::Calibration>();
  return target;
}

}  // namespace penstock::llm
