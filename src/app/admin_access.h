// Who may use the admin listener.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/secret.h"
#include "config/document.h"
#include "http/exchange.h"

namespace penstock::app {

// `admin:` of the configuration: an address, or { address, key, tls, metrics_open }.
struct AdminConfig {
  net::Endpoint endpoint;
  std::optional<net::TlsServerOptions> tls;
  base::Secret key;           // empty: whoever reaches the address may use it
  bool metrics_open = false;  // /metrics needs no key

  std::vector<std::string> files() const { return tls ? tls->files() : std::vector<std::string>(); }
};

// Mistakes are reported on the node; `insecure` permits an address beyond loopback without key and TLS.
AdminConfig read_admin(const config::Node& node, bool insecure);

// Decides about one request after the other. Lives on one thread.
//
// A gateway key that can `admin` does as well as the admin key.
//
// The key comes in `Authorization: Bearer` and nowhere else: no cookie, so a page of another site cannot send it along.
// Where there is no key, the checks of Host (against names that lead here by DNS) and of Origin and content type
// (against forms and scripts of other sites) are what protects a loopback listener from the operator's own browser.
class AdminAccess {
 public:
  struct Refusal {
    int status = 403;
    std::string message;
    int retry_after = 0;  // seconds; 0: not said
  };

  // Wrong keys one address may try at once; one more every kWrongKeyEvery: further ones are told to wait. The right key
  // always passes: whoever shares the operator's address cannot lock the operator out.
  static constexpr int kWrongKeys = 10;
  static constexpr base::Duration kWrongKeyEvery = std::chrono::seconds(6);
  static constexpr std::size_t kAddressesMax = 1024;  // remembered; the one heard longest ago is forgotten

  AdminAccess();
  // What addresses have tried is kept.
  void change(const AdminConfig& config);

  // Gateway keys that may be used here, too: the name of the one with this secret. Errors: why not.
  using FindKey = std::function<Result<std::string>(std::string_view secret, const net::Endpoint& peer)>;
  void accept_keys(FindKey find) { find_key_ = std::move(find); }

  // Why the request is not served; nothing when it is.
  std::optional<Refusal> check(const http::Request& request, const net::Endpoint& peer, base::SteadyTime now);
  // The gateway key of the request that was let through last; empty: the admin key, or none.
  const std::string& key_name() const { return key_name_; }

 private:
  struct Tries {
    std::string address;
    double left = kWrongKeys;
    base::SteadyTime at;
  };
  std::optional<Refusal> check_key(const http::Request& request, const net::Endpoint& peer, base::SteadyTime now);
  Tries& tries_of(const net::Endpoint& peer, base::SteadyTime now);

  bool loopback_ = true;
  bool metrics_open_ = false;
  std::string hash_key_;  // random: keys are compared by their hashes, which are equally long
  std::string key_hash_;  // empty: no key
  std::vector<Tries> tries_;
  FindKey find_key_;
  std::string key_name_;
};

}  // namespace penstock::app
