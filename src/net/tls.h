// TLS over OpenSSL 3: contexts are made once from configuration and shared by every loop (OpenSSL's are thread-safe
// once set up). Versions 1.2 and 1.3 only; peers are verified unless a configuration says otherwise in so many words.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"

struct ssl_ctx_st;

namespace penstock::net {

class TlsContext {
 public:
  // For connecting out. `ca_file` replaces the system's certificate authorities when not empty.
  static Result<std::shared_ptr<TlsContext>> client(const std::string& ca_file = {});
  // For listening. PEM files; the key must fit the certificate.
  static Result<std::shared_ptr<TlsContext>> server(const std::string& cert_file, const std::string& key_file);
  ~TlsContext();
  ssl_ctx_st* get() const { return context_; }

 private:
  explicit TlsContext(ssl_ctx_st* context) : context_(context) {}
  ssl_ctx_st* context_;
};

}  // namespace penstock::net
