#include "mock/dialect.h"

#include <array>

namespace penstock::mock {
namespace {

const std::array<const Dialect*, 4> kDialects = {&kOpenAi, &kAnthropic, &kGemini, &kOllama};

bool under(std::string_view path, std::string_view folder) {
  return path.starts_with(folder) && (path.size() == folder.size() || path[folder.size()] == '/');
}

}  // namespace

const Dialect& dialect_of(const http::Request& request) {
  std::string_view path = request.path;
  if (under(path, "/v1/messages")) return kAnthropic;
  if (under(path, "/v1/models") && !request.field("anthropic-version").empty()) return kAnthropic;
  if (under(path, "/v1beta") || under(path, "/v1alpha")) return kGemini;
  // POST /v1/models/NAME:generateContent is Gemini's stable version.
  if (under(path, "/v1/models") && request.method == "POST") return kGemini;
  if (under(path, "/api")) return kOllama;
  return kOpenAi;
}

const Dialect* dialect_named(std::string_view name) {
  for (const Dialect* dialect : kDialects) {
    if (dialect->name == name) return dialect;
  }
  return nullptr;
}

std::string dialect_names() {
  std::string names;
  for (const Dialect* dialect : kDialects) names += fmt::format("{}{}", names.empty() ? "" : ", ", dialect->name);
  return names;
}

std::string bearer_key(const http::Request& request) {
  std::string_view field = request.field(wire::FieldId::authorization);
  constexpr std::string_view kScheme = "Bearer ";
  return field.starts_with(kScheme) ? std::string(field.substr(kScheme.size())) : std::string();
}

}  // namespace penstock::mock
