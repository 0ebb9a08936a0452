// Contexts for listening: certificates by name, clients' certificates, session tickets.
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>

#include <fstream>

#include "net/tls.h"
#include "net/tls_certificate.h"
#include "net/tls_names.h"
#include "net/tls_tickets.h"

namespace penstock::net {
namespace {

using ContextPointer = std::unique_ptr<SSL_CTX, FreeWith<SSL_CTX_free>>;

std::unexpected<Error> cannot_load_authorities(const std::string& file, const std::string& why) {
  return fail(Errc::invalid_argument,
              fmt::format("cannot load the authorities of client certificates '{}': {}", file, why));
}

// A session goes on without its client being verified again: only under the same authorities and rules.
Result<std::array<unsigned char, 32>> session_context(const TlsServerOptions& options) {
  std::string text = fmt::format("penstock {}\n", static_cast<int>(options.client_auth));
  if (!options.client_ca_file.empty()) {
    std::ifstream file(options.client_ca_file, std::ios::binary);
    text.append(std::istreambuf_iterator<char>(file), {});
    if (!file) return cannot_load_authorities(options.client_ca_file, "it cannot be read");
  }
  std::array<unsigned char, 32> digest{};
  EVP_Digest(text.data(), text.size(), digest.data(), nullptr, EVP_sha256(), nullptr);
  return digest;
}

int verify_mode(ClientAuth auth) {
  if (auth == ClientAuth::none) return SSL_VERIFY_NONE;
  return SSL_VERIFY_PEER | (auth == ClientAuth::required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0);
}

bool is_over(X509* cert) { return X509_cmp_current_time(X509_get0_notAfter(cert)) < 0; }

class ServerContext : public TlsContext {
 public:
  ServerContext(const TlsServerOptions& options, TlsTicketKeys& ticket_keys)
      : TlsContext(SSL_CTX_new(TLS_server_method()), options.alpn), ticket_keys_(ticket_keys) {
    SSL_CTX_set_app_data(get(), this);
    if (options.min_version == TlsVersion::tls13) SSL_CTX_set_min_proto_version(get(), TLS1_3_VERSION);
    SSL_CTX_set_options(get(), SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    if (!options.alpn.empty()) SSL_CTX_set_alpn_select_cb(get(), choose_protocol, this);
    SSL_CTX_set_tlsext_servername_callback(get(), take_server_name);
    // Tickets only: a cache here would be one lock for all loops.
    SSL_CTX_set_session_cache_mode(get(), SSL_SESS_CACHE_OFF);
    SSL_CTX_set_timeout(get(), static_cast<long>(options.session_lifetime.count()));
    SSL_CTX_set_tlsext_ticket_key_evp_cb(get(), ticket_key);
  }

  Result<void> load(const TlsServerOptions& options) {
    if (auto loaded = load_certificates(options.certificates); !loaded) return loaded;
    return load_client_authorities(options);
  }

 private:
  Result<void> load_certificates(const std::vector<TlsKeyPair>& pairs);
  Result<void> load_client_authorities(const TlsServerOptions& options);
  static int choose_certificate(SSL* ssl, void* context);
  static int choose_protocol(SSL* ssl, const unsigned char** out, unsigned char* out_size, const unsigned char* offered,
                             unsigned offered_size, void* context);
  static int take_server_name(SSL*, int*, void*) { return SSL_TLSEXT_ERR_OK; }
  static int ticket_key(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac,
                        int seal);
  static SSL_TICKET_RETURN open_ticket(SSL* ssl, SSL_SESSION* session, const unsigned char* name, std::size_t name_size,
                                       SSL_TICKET_STATUS status, void* context);

  TlsTicketKeys& ticket_keys_;
  std::vector<Certificate> certificates_;
  NameTable names_;
};

Result<void> ServerContext::load_certificates(const std::vector<TlsKeyPair>& pairs) {
  if (pairs.empty()) return fail(Errc::invalid_argument, "TLS needs a certificate");
  ContextPointer trial(SSL_CTX_new(TLS_server_method()));
  SSL_CTX_set_security_level(trial.get(), SSL_CTX_get_security_level(get()));
  for (const TlsKeyPair& files : pairs) {
    auto one = load_certificate(files);
    if (!one) return std::unexpected(one.error());
    if (SSL_CTX_use_cert_and_key(trial.get(), one->cert.get(), one->key.get(), one->chain.get(), 1) != 1) {
      return fail(Errc::invalid_argument,
                  fmt::format("cannot use certificate '{}': {}", files.cert_file, tls_reason()));
    }
    certificates_.push_back(std::move(*one));
  }
  names_ = NameTable(certificates_);
  for (const Certificate* one : names_.by_default())
    SSL_CTX_use_cert_and_key(get(), one->cert.get(), one->key.get(), one->chain.get(), 1);
  if (certificates_.size() > 1) SSL_CTX_set_cert_cb(get(), choose_certificate, this);
  return {};
}

Result<void> ServerContext::load_client_authorities(const TlsServerOptions& options) {
  auto id = session_context(options);
  if (!id) return std::unexpected(id.error());
  SSL_CTX_set_session_id_context(get(), id->data(), static_cast<unsigned>(id->size()));
  SSL_CTX_set_verify(get(), verify_mode(options.client_auth), nullptr);
  if (options.client_auth == ClientAuth::none) return {};
  SSL_CTX_set_session_ticket_cb(get(), nullptr, open_ticket, nullptr);
  // The names tell clients which of their certificates to show.
  STACK_OF(X509_NAME)* names = SSL_load_client_CA_file(options.client_ca_file.c_str());
  if (names == nullptr || SSL_CTX_load_verify_file(get(), options.client_ca_file.c_str()) != 1) {
    sk_X509_NAME_pop_free(names, X509_NAME_free);
    return cannot_load_authorities(options.client_ca_file, tls_reason());
  }
  SSL_CTX_set_client_CA_list(get(), names);
  return {};
}

// The context has those for nobody in particular already.
int ServerContext::choose_certificate(SSL* ssl, void* context) {
  const auto* self = static_cast<const ServerContext*>(context);
  const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  const CertificateSet* chosen = name == nullptr ? nullptr : self->names_.find(name);
  if (chosen == nullptr) return 1;
  SSL_certs_clear(ssl);
  for (const Certificate* one : *chosen) {
    if (SSL_use_cert_and_key(ssl, one->cert.get(), one->key.get(), one->chain.get(), 1) != 1) return 0;
  }
  return 1;
}

int ServerContext::choose_protocol(SSL*, const unsigned char** out, unsigned char* out_size,
                                   const unsigned char* offered, unsigned offered_size, void* context) {
  const auto* self = static_cast<const ServerContext*>(context);
  unsigned char* chosen = nullptr;
  int found = SSL_select_next_proto(&chosen, out_size, reinterpret_cast<const unsigned char*>(self->alpn_.data()),
                                    static_cast<unsigned>(self->alpn_.size()), offered, offered_size);
  *out = chosen;
  return found == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

// 1: done; 0: no such key, so a full handshake; 2: opened, and a new ticket is due; below 0: an error.
int ServerContext::ticket_key(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
                              EVP_MAC_CTX* mac, int seal) {
  auto* self = static_cast<ServerContext*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
  base::SteadyTime now = std::chrono::steady_clock::now();
  TlsTicketKey key{};
  int result = 1;
  if (seal == 1) {
    auto sealing = self->ticket_keys_.sealing(now);
    if (!sealing || RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) != 1) return -1;
    key = *sealing;
    std::copy(key.name.begin(), key.name.end(), name);
  } else {
    auto opening = self->ticket_keys_.opening(name, now);
    if (!opening) return 0;
    key = opening->key;
    if (!opening->fresh) result = 2;
  }
  char digest[] = "SHA256";
  std::array<OSSL_PARAM, 3> parameters{
      OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key.mac.data(), key.mac.size()),
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0), OSSL_PARAM_construct_end()};
  if (EVP_MAC_CTX_set_params(mac, parameters.data()) != 1 ||
      EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), nullptr, key.cipher.data(), iv, seal) != 1) {
    result = -1;
  }
  OPENSSL_cleanse(&key, sizeof key);
  return result;
}

// A client whose certificate has expired since is verified again, and refused then.
SSL_TICKET_RETURN ServerContext::open_ticket(SSL*, SSL_SESSION* session, const unsigned char*, std::size_t,
                                             SSL_TICKET_STATUS status, void*) {
  if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW) return SSL_TICKET_RETURN_IGNORE_RENEW;
  X509* cert = SSL_SESSION_get0_peer(session);
  if (cert != nullptr && is_over(cert)) return SSL_TICKET_RETURN_IGNORE_RENEW;
  return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
}

}  // namespace

Result<std::shared_ptr<TlsContext>> TlsContext::server(const TlsServerOptions& options) {
  return server(options, TlsTicketKeys::instance());
}

Result<std::shared_ptr<TlsContext>> TlsContext::server(const TlsServerOptions& options, TlsTicketKeys& ticket_keys) {
  auto context = std::make_shared<ServerContext>(options, ticket_keys);
  if (auto loaded = context->load(options); !loaded) return std::unexpected(loaded.error());
  return context;
}

}  // namespace penstock::net
