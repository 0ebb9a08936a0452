#include "infer/origin_config.h"

#include <algorithm>

#include "artifact/digest.h"
#include "artifact/sealed_file.h"
#include "artifact/signing_key.h"
#include "net/address.h"

namespace penstock::infer {
namespace {

PullConfig read_pull(const config::Node& node) {
  config::Map map = node.map();
  PullConfig pull;
  pull.url = map.required_text("url");
  // What stands behind the question mark may be a credential, and the error quotes the URL.
  if (auto url = net::parse_http_url(pull.url); !pull.url.empty() && !url)
    map.get("url").problem(pull.url.find('?') == std::string::npos ? url.error().detail : "not a URL of http or https");
  pull.version = map.integer("version", 1, 1, INT64_MAX);
  std::string written = map.required_text("sha256");
  auto digest = artifact::from_hex(written);
  if (digest && digest->size() == 32) {
    pull.sha256 = artifact::to_hex(*digest);
  } else if (!written.empty()) {
    map.get("sha256").problem("not a SHA-256: 64 hexadecimal digits, as `sha256sum FILE` prints them");
  }
  pull.authorization = map.secret("authorization");
  std::string_view value = pull.authorization.reveal();
  if (std::any_of(value.begin(), value.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }))
    map.get("authorization").problem("it has control characters, which a header field cannot carry");
  map.done();
  return pull;
}

void read_pulls(const config::Node& node, std::vector<PullConfig>& pulls) {
  if (!node.present()) return;
  std::vector<config::Node> entries =
      node.kind() == config::Node::Kind::list ? node.items() : std::vector<config::Node>{node};
  if (entries.empty()) node.problem("there is nothing to pull in this list");
  for (const config::Node& entry : entries) {
    PullConfig pull = read_pull(entry);
    if (std::any_of(pulls.begin(), pulls.end(), [&](const PullConfig& one) { return one.version == pull.version; }))
      entry.problem(fmt::format("version {} is pulled twice", pull.version));
    pulls.push_back(std::move(pull));
  }
}

}  // namespace

OriginConfig parse_origin(config::Map& model) {
  OriginConfig origin;
  read_pulls(model.get("pull"), origin.pull);
  for (const std::string& pem : model.texts("signed_by")) origin.signed_by += pem + "\n";
  config::Node signed_by = model.get("signed_by");
  if (signed_by.present()) {
    if (auto keys = artifact::PublicKey::parse(origin.signed_by); !keys) signed_by.problem(keys.error().detail);
  }
  origin.encryption_key = model.secret("encryption_key");
  if (!origin.encryption_key.empty()) {
    if (auto key = artifact::parse_encryption_key(origin.encryption_key); !key)
      model.get("encryption_key").problem(key.error().detail);
  }
  return origin;
}

}  // namespace penstock::infer
