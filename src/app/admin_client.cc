#include "app/admin_client.h"

#include <cstdlib>

#include "app/admin_access.h"
#include "http/client.h"
#include "rt/await.h"

namespace penstock::app {
namespace {

struct Answer {
  int status = 0;
  std::string body;
};

rt::Task<void> exchange(http::ClientPool& pool, std::shared_ptr<const http::Origin> origin, std::string head,
                        std::string body, Result<Answer>& answer) {
  http::ClientTimeouts timeouts{std::chrono::seconds(30), std::chrono::seconds(30), std::chrono::seconds(60)};
  http::ClientCall call(pool, std::move(origin), timeouts);
  auto sent = co_await call.send(head, body);
  if (!sent) {
    answer = std::unexpected(sent.error());
    co_return;
  }
  constexpr std::size_t kAnswerBytesMax = 64U << 20;
  auto all = co_await call.read_all(kAnswerBytesMax);
  answer =
      all ? Result<Answer>(Answer{call.status(), std::string(*all)}) : Result<Answer>(std::unexpected(all.error()));
}

Errc code_of(int status) {
  switch (status) {
    case 400:
    case 422: return Errc::invalid_argument;
    case 401:
    case 403: return Errc::permission_denied;
    case 404: return Errc::not_found;
    case 409: return Errc::failed_precondition;
    default: return Errc::unavailable;
  }
}

Result<std::string> url_of(const DataFolder& folder) {
  auto document = folder.document();
  if (!document) return std::unexpected(document.error());
  if (!*document) return std::string("http://127.0.0.1:8081");
  AdminConfig admin = read_admin((*document)->root().map().get("admin"), true);
  if ((*document)->failed()) return fail(Errc::invalid_argument, (*document)->report());
  if (admin.endpoint.is_local_socket()) return admin.endpoint.text();
  return fmt::format("{}://{}", admin.tls ? "https" : "http", admin.endpoint.text());
}

}  // namespace

Result<AdminClient> AdminClient::open(const std::string& url, const DataFolder& folder) {
  auto place = url.empty() ? url_of(folder) : Result<std::string>(url);
  if (!place) return std::unexpected(place.error());
  auto parsed = net::parse_http_url(*place);
  if (!parsed) return std::unexpected(parsed.error());
  AdminClient client;
  client.url_ = std::move(*parsed);
  if (const char* key = std::getenv("PENSTOCK_ADMIN_KEY")) client.key_ = base::Secret(key);
  return client;
}

Result<json::Object> AdminClient::ask(std::string_view method, const std::string& path, const json::Value& body) const {
  auto origin = std::make_shared<http::Origin>();
  origin->url = url_;
  if (url_.tls()) {
    auto tls = net::TlsContext::client();
    if (!tls) return std::unexpected(tls.error());
    origin->tls = std::move(*tls);
  }
  std::string bytes = body.is_null() ? "" : json::dump(body);
  std::string head = fmt::format(
      "{} {} HTTP/1.1\r\nhost: {}\r\nuser-agent: penstock\r\ncontent-type: application/json\r\ncontent-length: {}\r\n",
      method, path, url_.authority(), bytes.size());
  if (!key_.empty()) head += fmt::format("authorization: Bearer {}\r\n", key_.reveal());
  Result<Answer> answer = fail(Errc::unavailable, "no answer");
  rt::Loop loop;
  http::ClientPool pool(loop);
  rt::spawn(exchange(pool, origin, std::move(head), std::move(bytes), answer), [&] { loop.stop(); });
  loop.run();
  if (!answer) {
    return fail(Errc::unavailable,
                fmt::format("no gateway answers at {}: {}. Start it (`penstock run`), or name its admin address with "
                            "--admin or --config",
                            url_.place(), answer.error().detail));
  }
  auto value = json::parse(answer->body);
  if (answer->status == 401 && value) {
    return fail(Errc::permission_denied,
                fmt::format("{} wants the admin key: put it into PENSTOCK_ADMIN_KEY", url_.place()));
  }
  if (answer->status >= 400 && value)
    return fail(code_of(answer->status), std::string(json::string_or(*value, "error", "refused")));
  if (!value || !value->is_object())
    return fail(Errc::protocol_error, fmt::format("{} does not answer as a gateway does", url_.place()));
  return std::move(value->get_object());
}

std::string escaped(std::string_view name) {
  std::string out;
  for (char c : name) {
    bool plain = std::isalnum(static_cast<unsigned char>(c)) != 0 || std::string_view("-_.~").contains(c);
    out += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

}  // namespace penstock::app
