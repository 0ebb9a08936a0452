// Contexts for connecting out.
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "net/tls.h"
#include "net/tls_certificate.h"

namespace penstock::net {
namespace {

class ClientContext : public TlsContext {
 public:
  explicit ClientContext(const TlsClientOptions& options)
      : TlsContext(SSL_CTX_new(TLS_client_method()), options.alpn), pins_(options.pins) {
    SSL_CTX_set_app_data(get(), this);
    // Sessions are kept per core and origin by whoever connects, not here where every thread would meet.
    SSL_CTX_set_session_cache_mode(get(), SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(get(), keep_session);
    SSL_CTX_set_verify(get(), SSL_VERIFY_PEER, pins_.empty() ? nullptr : check_pin);
    SSL_CTX_set_alpn_protos(get(), reinterpret_cast<const unsigned char*>(alpn_.data()),
                            static_cast<unsigned>(alpn_.size()));
  }

  Result<void> load(const TlsClientOptions& options) {
    int loaded = options.ca_file.empty() ? SSL_CTX_set_default_verify_paths(get())
                                         : SSL_CTX_load_verify_file(get(), options.ca_file.c_str());
    if (loaded != 1) {
      return fail(Errc::invalid_argument,
                  fmt::format("cannot load certificate authorities '{}': {}", options.ca_file, tls_reason()));
    }
    if (options.certificate.cert_file.empty()) return {};
    auto own = load_certificate(options.certificate);
    if (!own) return std::unexpected(own.error());
    if (SSL_CTX_use_cert_and_key(get(), own->cert.get(), own->key.get(), own->chain.get(), 1) != 1) {
      return fail(Errc::invalid_argument,
                  fmt::format("cannot use certificate '{}': {}", options.certificate.cert_file, tls_reason()));
    }
    return {};
  }

 private:
  static int keep_session(SSL* ssl, SSL_SESSION* session) {
    auto* kept = static_cast<TlsSession*>(SSL_get_app_data(ssl));
    if (kept == nullptr) return 0;
    kept->keep(session);
    return 1;
  }

  // Called for each certificate of the chain, the server's own last. A session that goes on was begun under these pins.
  static int check_pin(int accepted, X509_STORE_CTX* chain) {
    if (accepted != 1 || X509_STORE_CTX_get_error_depth(chain) != 0) return accepted;
    auto* ssl = static_cast<SSL*>(X509_STORE_CTX_get_ex_data(chain, SSL_get_ex_data_X509_STORE_CTX_idx()));
    const auto* self = static_cast<ClientContext*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
    std::string pin = pin_of(X509_STORE_CTX_get0_cert(chain));
    if (std::find(self->pins_.begin(), self->pins_.end(), pin) != self->pins_.end()) return 1;
    X509_STORE_CTX_set_error(chain, X509_V_ERR_APPLICATION_VERIFICATION);
    return 0;
  }

  std::vector<std::string> pins_;
};

Result<std::shared_ptr<TlsContext>> make(const TlsClientOptions& options) {
  auto context = std::make_shared<ClientContext>(options);
  if (auto loaded = context->load(options); !loaded) return std::unexpected(loaded.error());
  return context;
}

}  // namespace

Result<std::shared_ptr<TlsContext>> TlsContext::client(const TlsClientOptions& options) {
  if (!options.files().empty()) return make(options);
  // Reading the system's authorities takes tens of milliseconds; one context serves all who trust them alike.
  static std::mutex mutex;
  static std::map<std::string, std::weak_ptr<TlsContext>> shared;
  std::lock_guard lock(mutex);
  std::erase_if(shared, [](const auto& entry) { return entry.second.expired(); });
  auto& known = shared[fmt::format("{}\n{}", fmt::join(options.alpn, " "), fmt::join(options.pins, " "))];
  if (auto alive = known.lock()) return alive;
  auto made = make(options);
  if (made) known = *made;
  return made;
}

}  // namespace penstock::net
