#include "net/tls_names.h"

namespace penstock::net {
namespace {

constexpr std::size_t kNameBytesMax = 255;  // RFC 1035 section 2.3.4

void add(CertificateSet& set, const Certificate* one) {
  bool known = std::any_of(set.begin(), set.end(), [&](const auto* other) { return other->key_kind == one->key_kind; });
  if (!known) set.push_back(one);
}

void add(CertificateSet& set, const CertificateSet& more) {
  for (const Certificate* one : more) add(set, one);
}

// "example.org" of "api.example.org"; empty without a dot.
std::string_view parent_of(std::string_view name) {
  std::size_t dot = name.find('.');
  return dot == std::string_view::npos ? std::string_view() : name.substr(dot + 1);
}

}  // namespace

NameTable::NameTable(const std::vector<Certificate>& certificates) {
  for (const Certificate& one : certificates) {
    for (const std::string& name : one.names) {
      bool wildcard = name.starts_with("*.");
      add(wildcard ? wildcards_[name.substr(2)] : exact_[name], &one);
    }
  }
  // A wildcard helps out with the kinds of key that the name itself lacks.
  for (auto& [name, set] : exact_) {
    if (auto wider = wildcards_.find(parent_of(name)); wider != wildcards_.end()) add(set, wider->second);
  }
  const Certificate& first = certificates.front();
  add(default_, &first);
  for (const std::string& name : first.names) {
    auto& sets = name.starts_with("*.") ? wildcards_ : exact_;
    add(default_, sets.at(name.starts_with("*.") ? name.substr(2) : name));
  }
}

const CertificateSet* NameTable::find(std::string_view name) const {
  if (name.size() > kNameBytesMax) return nullptr;
  std::string lower(name);
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  if (auto found = exact_.find(lower); found != exact_.end()) return &found->second;
  if (auto found = wildcards_.find(parent_of(lower)); found != wildcards_.end()) return &found->second;
  return nullptr;
}

}  // namespace penstock::net
