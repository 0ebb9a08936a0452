#include "net/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

namespace penstock::net {
namespace {

// The library's own reason for the last failure; it names no secret.
std::string reason() {
  std::array<char, 200> text{};
  unsigned long code = ERR_get_error();
  ERR_clear_error();
  if (code == 0) return "unknown reason";
  ERR_error_string_n(code, text.data(), text.size());
  return text.data();
}

// Only what has forward secrecy and authenticated encryption.
constexpr const char* kTls12Ciphers = "ECDHE+AESGCM:ECDHE+CHACHA20";

int keep_session(SSL* ssl, SSL_SESSION* session) {
  auto* kept = static_cast<TlsSession*>(SSL_get_app_data(ssl));
  if (kept == nullptr) return 0;
  kept->keep(session);
  return 1;
}

}  // namespace

void TlsSession::keep(ssl_session_st* session) {
  if (session_ != nullptr) SSL_SESSION_free(session_);
  session_ = session;
}

void TlsContext::resume(ssl_st* ssl, TlsSession& session) {
  SSL_set_app_data(ssl, &session);
  if (session.get() != nullptr) SSL_set_session(ssl, session.get());
}

Result<std::shared_ptr<TlsContext>> TlsContext::client(const TlsClientOptions& options) {
  if (!options.ca_file.empty()) return make_client(options);
  // Reading the system's authorities takes tens of milliseconds; one context serves all who trust them alike.
  static std::mutex mutex;
  static std::array<std::weak_ptr<TlsContext>, 2> shared;
  std::lock_guard lock(mutex);
  auto& known = shared[options.insecure_skip_verify ? 1 : 0];
  if (auto alive = known.lock()) return alive;
  auto made = make_client(options);
  if (made) known = *made;
  return made;
}

Result<std::shared_ptr<TlsContext>> TlsContext::make_client(const TlsClientOptions& options) {
  std::shared_ptr<TlsContext> context(new TlsContext(SSL_CTX_new(TLS_client_method())));
  SSL_CTX_set_min_proto_version(context->get(), TLS1_2_VERSION);
  SSL_CTX_set_cipher_list(context->get(), kTls12Ciphers);
  SSL_CTX_set_mode(context->get(),
                   SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_options(context->get(), SSL_OP_NO_RENEGOTIATION);
  // Sessions are kept per core and origin by whoever connects, not here where every thread would meet.
  SSL_CTX_set_session_cache_mode(context->get(), SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(context->get(), keep_session);
  SSL_CTX_set_verify(context->get(), options.insecure_skip_verify ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, nullptr);
  int loaded = options.ca_file.empty() ? SSL_CTX_set_default_verify_paths(context->get())
                                       : SSL_CTX_load_verify_file(context->get(), options.ca_file.c_str());
  if (loaded != 1) {
    return fail(Errc::invalid_argument,
                fmt::format("cannot load certificate authorities '{}': {}", options.ca_file, reason()));
  }
  return context;
}

Result<std::shared_ptr<TlsContext>> TlsContext::server(const TlsServerOptions& options) {
  std::shared_ptr<TlsContext> context(new TlsContext(SSL_CTX_new(TLS_server_method())));
  SSL_CTX_set_min_proto_version(context->get(), TLS1_2_VERSION);
  SSL_CTX_set_cipher_list(context->get(), kTls12Ciphers);
  SSL_CTX_set_mode(context->get(),
                   SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_options(context->get(), SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_NO_RENEGOTIATION);
  if (SSL_CTX_use_certificate_chain_file(context->get(), options.cert_file.c_str()) != 1) {
    return fail(Errc::invalid_argument, fmt::format("cannot use certificate '{}': {}", options.cert_file, reason()));
  }
  if (SSL_CTX_use_PrivateKey_file(context->get(), options.key_file.c_str(), SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_check_private_key(context->get()) != 1) {
    return fail(Errc::invalid_argument,
                fmt::format("cannot use private key '{}' with this certificate: {}", options.key_file, reason()));
  }
  return context;
}

TlsContext::~TlsContext() { SSL_CTX_free(context_); }

}  // namespace penstock::net
