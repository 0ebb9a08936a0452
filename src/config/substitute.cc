#include "config/substitute.h"

#include <fstream>
#include <sstream>

namespace penstock::config {
namespace {

constexpr char kOpen = '\x01';
constexpr char kClose = '\x02';

// The content of a secret file: without the newline every editor leaves at the end.
Result<std::string> read_secret_file(const std::string& path) {
  constexpr std::size_t kSecretBytesMax = 64 * 1024;
  std::ifstream in(path, std::ios::binary);
  if (!in) return fail(Errc::not_found, fmt::format("cannot open the file '{}' named in ${{file:...}}", path));
  std::ostringstream content;
  content << in.rdbuf();
  std::string value = content.str();
  if (value.size() > kSecretBytesMax) return fail(Errc::out_of_range, fmt::format("'{}' is larger than 64KiB", path));
  while (!value.empty() && (value.back() == '\n' || value.back() == '\r')) value.pop_back();
  return value;
}

Result<std::string> look_up(std::string_view reference, const Environment& environment) {
  if (reference.starts_with("file:")) return read_secret_file(std::string(reference.substr(5)));
  std::size_t dash = reference.find(":-");
  std::string name(reference.substr(0, dash));
  if (const char* value = environment(name); value != nullptr && *value != '\0') return std::string(value);
  if (dash != std::string_view::npos) return std::string(reference.substr(dash + 2));
  return fail(Errc::not_found,
              fmt::format("the environment variable {} is not set; set it, or write ${{{}:-default}}", name, name));
}

}  // namespace

std::string protect(std::string_view yaml) {
  std::string out(yaml);
  for (std::size_t i = out.find("${"); i != std::string::npos; i = out.find("${", i + 1)) {
    std::size_t close = out.find_first_of("}\n", i);
    if (close == std::string::npos || out[close] == '\n') continue;
    out[i + 1] = kOpen;
    out[close] = kClose;
  }
  return out;
}

std::string restore(std::string_view value) {
  std::string out(value);
  std::replace(out.begin(), out.end(), kOpen, '{');
  std::replace(out.begin(), out.end(), kClose, '}');
  return out;
}

Result<std::string> substitute(std::string_view value, const Environment& environment) {
  std::string out;
  std::size_t from = 0;
  while (true) {
    std::size_t dollar = value.find("$\x01", from);
    if (dollar == std::string_view::npos) break;
    std::size_t close = value.find(kClose, dollar);
    if (close == std::string_view::npos) break;
    out += value.substr(from, dollar - from);
    auto replaced = look_up(value.substr(dollar + 2, close - dollar - 2), environment);
    if (!replaced) return replaced;
    out += *replaced;
    from = close + 1;
  }
  out += value.substr(from);
  return restore(out);
}

}  // namespace penstock::config
