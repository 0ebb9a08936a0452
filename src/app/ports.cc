#include "app/ports.h"

#include <limits>

namespace penstock::app {
namespace {

using infer::Datatype;

template <class T>
void fill(infer::Tensor& tensor, const std::vector<double>& data) {
  tensor.bytes = infer::Buffer(data.size() * sizeof(T));
  auto values = tensor.values<T>();
  for (std::size_t i = 0; i < data.size(); ++i) {
    if constexpr (std::is_floating_point_v<T>) {
      values[i] = static_cast<T>(data[i]);
    } else {
      // Out-of-range conversions are undefined: sensors clip.
      double low = static_cast<double>(std::numeric_limits<T>::lowest());
      double high = static_cast<double>(std::numeric_limits<T>::max());
      double value = data[i] == data[i] ? data[i] : 0;
      values[i] = value <= low    ? std::numeric_limits<T>::lowest()
                  : value >= high ? std::numeric_limits<T>::max()
                                  : static_cast<T>(value);
    }
  }
}

template <class T>
std::vector<double> numbers(const infer::Tensor& tensor) {
  auto values = tensor.values<T>();
  std::vector<double> data;
  data.reserve(values.size());
  for (T value : values) data.push_back(static_cast<double>(value));
  return data;
}

Result<infer::Tensor> to_tensor(ingest::NamedArray array, Datatype datatype) {
  infer::Tensor tensor;
  tensor.name = std::move(array.name);
  tensor.datatype = datatype;
  tensor.shape = std::move(array.shape);
  const auto& data = array.data;
  switch (datatype) {
    case Datatype::boolean: fill<bool>(tensor, data); break;
    case Datatype::uint8: fill<std::uint8_t>(tensor, data); break;
    case Datatype::uint16: fill<std::uint16_t>(tensor, data); break;
    case Datatype::uint32: fill<std::uint32_t>(tensor, data); break;
    case Datatype::uint64: fill<std::uint64_t>(tensor, data); break;
    case Datatype::int8: fill<std::int8_t>(tensor, data); break;
    case Datatype::int16: fill<std::int16_t>(tensor, data); break;
    case Datatype::int32: fill<std::int32_t>(tensor, data); break;
    case Datatype::int64: fill<std::int64_t>(tensor, data); break;
    case Datatype::fp32: fill<float>(tensor, data); break;
    case Datatype::fp64: fill<double>(tensor, data); break;
    default:
      return fail(Errc::invalid_argument, fmt::format("the input '{}' is {}, which a pipeline cannot give", tensor.name,
                                                      infer::to_string(datatype)));
  }
  return tensor;
}

Result<ingest::NamedArray> to_array(const infer::Tensor& tensor) {
  ingest::NamedArray array{tensor.name, tensor.shape, {}};
  switch (tensor.datatype) {
    case Datatype::boolean: array.data = numbers<bool>(tensor); break;
    case Datatype::uint8: array.data = numbers<std::uint8_t>(tensor); break;
    case Datatype::uint16: array.data = numbers<std::uint16_t>(tensor); break;
    case Datatype::uint32: array.data = numbers<std::uint32_t>(tensor); break;
    case Datatype::uint64: array.data = numbers<std::uint64_t>(tensor); break;
    case Datatype::int8: array.data = numbers<std::int8_t>(tensor); break;
    case Datatype::int16: array.data = numbers<std::int16_t>(tensor); break;
    case Datatype::int32: array.data = numbers<std::int32_t>(tensor); break;
    case Datatype::int64: array.data = numbers<std::int64_t>(tensor); break;
    case Datatype::fp32: array.data = numbers<float>(tensor); break;
    case Datatype::fp64: array.data = numbers<double>(tensor); break;
    default:
      return fail(Errc::invalid_argument, fmt::format("the output '{}' is {}, which a pipeline cannot take",
                                                      tensor.name, infer::to_string(tensor.datatype)));
  }
  return array;
}

Result<std::vector<ingest::NamedArray>> to_arrays(const Result<infer::Response>& response) {
  if (!response) return std::unexpected(response.error());
  std::vector<ingest::NamedArray> arrays;
  for (const infer::Tensor& tensor : response->outputs) {
    auto array = to_array(tensor);
    if (!array) return std::unexpected(array.error());
    arrays.push_back(std::move(*array));
  }
  return arrays;
}

// Pieces are sent on a connection of their own, and never again.
rt::Task<Result<void>> send_once(http::ClientCall& call, std::string_view head, std::string_view body) {
  auto done = co_await call.start(head, body.size());
  if (done) done = co_await call.write(body);
  if (done) done = co_await call.finish();
  if (!done && call.sent()) co_return fail(Errc::data_loss, "it was sent and not answered: " + done.error().detail);
  co_return done;
}

rt::Task<void> send(http::ClientPool& pool, std::shared_ptr<const http::Origin> origin, net::Url url,
                    ingest::HttpPost request, std::function<void(Result<int>)> done) {
  http::ClientTimeouts timeouts{request.timeout, request.timeout, request.timeout};
  http::ClientCall call(pool, std::move(origin), timeouts);
  std::string head = fmt::format("POST {} HTTP/1.1\r\nhost: {}\r\nuser-agent: penstock\r\ncontent-length: {}\r\n",
                                 url.path.empty() ? "/" : url.path, url.authority(), request.body.size());
  for (const auto& [name, value] : request.headers) head += fmt::format("{}: {}\r\n", name, value);
  Result<void> sent;
  if (request.once) {
    sent = co_await send_once(call, head, request.body);
  } else {
    sent = co_await call.send(head, request.body);
  }
  if (!sent) {
    done(std::unexpected(sent.error()));
    co_return;
  }
  int status = call.status();
  // The answer's body says nothing to a sink, but reading it keeps the connection.
  constexpr std::size_t kAnswerBytesMax = 64 * 1024;
  (void)co_await call.read_all(kAnswerBytesMax);
  done(status);
}

}  // namespace

void LocalModels::infer(rt::Loop& loop, const std::string& model, std::vector<ingest::NamedArray> inputs,
                        base::Duration timeout, std::function<void(Result<std::vector<ingest::NamedArray>>)> done) {
  auto served = repository_.find(model, "");
  if (!served) {
    done(std::unexpected(served.error()));
    return;
  }
  infer::Request request;
  request.model = model;
  for (ingest::NamedArray& input : inputs) {
    // Unknown names are refused by the engine, which says what there is.
    Datatype datatype = Datatype::fp32;
    for (const infer::TensorSpec& spec : (*served)->model->info().inputs) {
      if (spec.name == input.name) datatype = spec.datatype;
    }
    auto tensor = to_tensor(std::move(input), datatype);
    if (!tensor) {
      done(std::unexpected(tensor.error()));
      return;
    }
    request.inputs.push_back(std::move(*tensor));
  }
  engine_.infer(loop, std::move(request), std::chrono::steady_clock::now() + timeout,
                [done = std::move(done)](Result<infer::Response> response) { done(to_arrays(response)); });
}

Result<std::shared_ptr<const http::Origin>> WebhookClient::origin_of(std::size_t core, const net::Url& url) {
  auto& origin = origins_[core][url.place()];
  if (!origin) {
    http::Origin made;
    made.url = url;
    if (url.tls()) {
      auto tls = net::TlsContext::client({.alpn = {"h2", "http/1.1"}});
      if (!tls) return std::unexpected(tls.error());
      made.tls = *tls;
    }
    origin = std::make_shared<const http::Origin>(std::move(made));
  }
  return origin;
}

void WebhookClient::post(rt::Loop& loop, ingest::HttpPost request, std::function<void(Result<int>)> done) {
  auto core = static_cast<std::size_t>(loop.index());
  auto url = net::parse_http_url(request.url);
  auto origin = url ? origin_of(core, *url) : Result<std::shared_ptr<const http::Origin>>(std::unexpected(url.error()));
  if (!origin) {
    done(std::unexpected(origin.error()));
    return;
  }
  rt::spawn(send(*pools_[core], *origin, *url, std::move(request), std::move(done)));
}

}  // namespace penstock::app
