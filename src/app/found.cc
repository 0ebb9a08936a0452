#include "app/found.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "app/environment.h"
#include "base/secret.h"
#include "json/value.h"
#include "obs/log.h"
#include "store/state.h"
#include "wire/http1.h"

namespace penstock::app {
namespace {

// A program on this very machine answers at once or not at all.
constexpr int kLocalMillis = 300;

// A connected socket to 127.0.0.1:port, or -1.
int connect_local(std::uint16_t port) {
  auto endpoint = net::parse_endpoint({"127.0.0.1", port});
  int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  timeval limit{0, kLocalMillis * 1000};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&endpoint->storage), endpoint->length) == 0) return fd;
  ::close(fd);
  return -1;
}

// GET over a fresh connection; the body of a 200, at most 1 MiB.
std::optional<json::Value> get_json(std::uint16_t port, std::string_view path) {
  int fd = connect_local(port);
  if (fd < 0) return std::nullopt;
  std::string request = fmt::format("GET {} HTTP/1.1\r\nhost: 127.0.0.1:{}\r\nconnection: close\r\n\r\n", path, port);
  std::string all;
  if (::send(fd, request.data(), request.size(), MSG_NOSIGNAL) > 0) {
    std::array<char, 16384> buffer{};
    ssize_t got = 0;
    while (all.size() < (1U << 20) && (got = ::recv(fd, buffer.data(), buffer.size(), 0)) > 0)
      all.append(buffer.data(), static_cast<std::size_t>(got));
  }
  ::close(fd);
  wire::Http1Parser parser(wire::Http1Parser::Kind::response, {});
  std::string body;
  std::string_view left = all;
  while (!left.empty() && !parser.message_done()) {
    auto used = parser.feed(left, body);
    if (!used) return std::nullopt;
    left.remove_prefix(*used);
  }
  if (!parser.head_done() || parser.head().status != 200) return std::nullopt;
  auto value = json::parse(body);
  return value ? std::optional<json::Value>(std::move(*value)) : std::nullopt;
}

// The id of the first model a /v1/models answer lists.
std::string first_model(const std::optional<json::Value>& models) {
  const json::Value* data = models ? json::find(*models, "data") : nullptr;
  if (data == nullptr || !data->is_array() || data->get_array().empty()) return {};
  return std::string(json::string_or(data->get_array().front(), "id", ""));
}

struct HostedProvider {
  const char* variable;
  const char* name;
  const char* type;
  const char* url;
  const char* model;
};

constexpr std::array<HostedProvider, 5> kHosted{{
    {"OPENAI_API_KEY", "OpenAI", "openai", "https://api.openai.com/v1", "gpt-4o-mini"},
    {"ANTHROPIC_API_KEY", "Anthropic", "anthropic", "https://api.anthropic.com/v1", "claude-haiku-4-5"},
    {"GEMINI_API_KEY", "Gemini", "gemini", "https://generativelanguage.googleapis.com/v1beta", "gemini-2.5-flash"},
    {"MISTRAL_API_KEY", "Mistral", "openai", "https://api.mistral.ai/v1", "mistral-small-latest"},
    {"GROQ_API_KEY", "Groq", "openai", "https://api.groq.com/openai/v1", "llama-3.1-8b-instant"},
}};

}  // namespace

Surroundings::~Surroundings() {
  if (mock_) mock_->stop();
  if (mock_thread_) mock_thread_->stop();
  mock_.reset();
}

config::Environment Surroundings::environment() {
  return [this](const std::string& name) { return look_up(name); };
}

const char* Surroundings::look_up(const std::string& name) {
  if (!name.starts_with("PENSTOCK_FOUND_")) return ProcessEnvironment::instance().take(name);
  if (name.starts_with("PENSTOCK_FOUND_LLM")) {
    if (llm_.empty()) find_llm();
    if (name == "PENSTOCK_FOUND_LLM") return llm_.c_str();
    if (name == "PENSTOCK_FOUND_LLM_TYPE") return llm_type_.c_str();
    if (name == "PENSTOCK_FOUND_LLM_URL") return llm_url_.c_str();
    if (name == "PENSTOCK_FOUND_LLM_KEY") return llm_key_.c_str();
    if (name == "PENSTOCK_FOUND_LLM_MODEL") return llm_model_.c_str();
  }
  if (name == "PENSTOCK_FOUND_KEY") {
    if (key_.empty()) find_key();
    return key_.c_str();
  }
  return nullptr;
}

void Surroundings::find_llm() {
  for (const HostedProvider& hosted : kHosted) {
    const char* key = ProcessEnvironment::instance().take(hosted.variable);
    if (key == nullptr || *key == '\0') continue;
    llm_ = fmt::format("{} (the key in {})", hosted.name, hosted.variable);
    llm_type_ = hosted.type;
    llm_url_ = hosted.url;
    llm_key_ = key;
    llm_model_ = hosted.model;
    return;
  }
  llm_key_ = "none";
  struct Local {
    std::uint16_t port;
    const char* name;
    const char* type;
    const char* path;  // where the API of the type begins
  };
  for (const Local& local : {Local{11434, "Ollama", "ollama", ""}, Local{8080, "llama-server", "openai", "/v1"}}) {
    std::string model = first_model(get_json(local.port, "/v1/models"));
    if (model.empty()) continue;
    llm_ = fmt::format("{} on 127.0.0.1:{}", local.name, local.port);
    llm_type_ = local.type;
    llm_url_ = fmt::format("http://127.0.0.1:{}{}", local.port, local.path);
    llm_model_ = model;
    return;
  }
  start_simulation();
}

void Surroundings::start_simulation() {
  mock_thread_ = std::make_unique<rt::LoopThread>(0, "simulation");
  mock::Options options;
  options.listen = *net::parse_endpoint({"127.0.0.1", 0});
  options.first_token = std::chrono::milliseconds(60);
  options.per_token = std::chrono::milliseconds(15);
  auto server = mock::Server::start({&mock_thread_->loop()}, options);
  llm_ = "a simulation (no provider key, Ollama or llama-server was found)";
  llm_model_ = "simulated";
  llm_url_ = "http://127.0.0.1:9/v1";
  if (!server) {
    obs::log(obs::Level::error, "the simulated provider cannot start", {{"why", server.error().detail}});
    return;
  }
  mock_ = std::move(*server);
  mock_thread_->start();
  llm_url_ = fmt::format("http://{}/v1", mock_->endpoint().text());
}

void Surroundings::find_key() {
  (void)store::make_data_dir(data_dir_);  // without it the key cannot be kept, below
  std::string path = data_dir_ + "/demo.key";
  if (int fd = ::open(path.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600); fd >= 0) {
    std::string fresh = "pk-demo-" + base::random_token(18);
    if (::write(fd, fresh.data(), fresh.size()) != static_cast<ssize_t>(fresh.size())) ::unlink(path.c_str());
    ::close(fd);
  }
  std::array<char, 128> buffer{};
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  ssize_t got = fd >= 0 ? ::read(fd, buffer.data(), buffer.size()) : 0;
  if (fd >= 0) ::close(fd);
  // Without a place to keep it the key lasts as long as the process.
  key_ = got >= 16 ? std::string(buffer.data(), static_cast<std::size_t>(got)) : "pk-demo-" + base::random_token(18);
}

}  // namespace penstock::app
