#include "net/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "net/tls_certificate.h"

namespace penstock::net {
namespace {

// Only what has forward secrecy and authenticated encryption.
constexpr const char* kTls12Ciphers = "ECDHE+AESGCM:ECDHE+CHACHA20";
// The first that the library in place understands: with the post-quantum hybrid from 3.5 on, whose clients then send
// shares for both of the first two (*), so that no server costs a round trip; as 3.0 understands it otherwise.
constexpr std::array<const char*, 3> kGroups{"*X25519MLKEM768/*X25519:P-256:P-384", "X25519MLKEM768:X25519:P-256:P-384",
                                             "X25519:P-256:P-384"};
// No RSA key below 2048 bits, no SHA-1 in signatures.
constexpr int kSecurityLevel = 2;

void set_groups(SSL_CTX* context) {
  for (const char* groups : kGroups) {
    if (SSL_CTX_set1_groups_list(context, groups) == 1) break;
  }
  ERR_clear_error();
}

std::string on_the_wire(const std::vector<std::string>& alpn) {
  std::string wire;
  for (const std::string& name : alpn) {
    wire += static_cast<char>(name.size());
    wire += name;
  }
  return wire;
}

}  // namespace

std::vector<std::string> TlsClientOptions::files() const {
  std::vector<std::string> files;
  for (const std::string* file : {&ca_file, &certificate.cert_file, &certificate.key_file}) {
    if (!file->empty()) files.push_back(*file);
  }
  return files;
}

std::vector<std::string> TlsServerOptions::files() const {
  std::vector<std::string> files;
  for (const TlsKeyPair& pair : certificates) {
    files.push_back(pair.cert_file);
    files.push_back(pair.key_file);
  }
  if (!client_ca_file.empty()) files.push_back(client_ca_file);
  return files;
}

void TlsSession::keep(ssl_session_st* session) {
  if (session_ != nullptr) SSL_SESSION_free(session_);
  session_ = session;
}

TlsContext::TlsContext(ssl_ctx_st* context, const std::vector<std::string>& alpn)
    : alpn_(on_the_wire(alpn)), context_(context) {
  SSL_CTX_set_security_level(context_, kSecurityLevel);
  SSL_CTX_set_min_proto_version(context_, TLS1_2_VERSION);
  SSL_CTX_set_cipher_list(context_, kTls12Ciphers);
  set_groups(context_);
  SSL_CTX_set_mode(context_,
                   SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_options(context_, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
}

TlsContext::~TlsContext() { SSL_CTX_free(context_); }

void TlsContext::resume(ssl_st* ssl, TlsSession& session) {
  SSL_set_app_data(ssl, &session);
  if (session.get() != nullptr) SSL_set_session(ssl, session.get());
}

TlsFacts facts_of(ssl_st* ssl) {
  TlsFacts facts;
  if (SSL_is_init_finished(ssl) != 1) return facts;  // the library has nothing to ask yet
  facts.version = SSL_get_version(ssl);
  if (const char* cipher = SSL_get_cipher_name(ssl)) facts.cipher = cipher;
  if (auto group = static_cast<int>(SSL_get_negotiated_group(ssl)); group != 0) {
    const char* name = SSL_group_to_name(ssl, group);
    if (name != nullptr) facts.group = name;
  }
  facts.alpn = alpn_of(ssl);
  if (const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name)) facts.server_name = name;
  facts.resumed = SSL_session_reused(ssl) == 1;
  X509* cert = SSL_get0_peer_certificate(ssl);
  bool verified = (SSL_get_verify_mode(ssl) & SSL_VERIFY_PEER) != 0 && SSL_get_verify_result(ssl) == X509_V_OK;
  if (cert != nullptr && verified) facts.identity = identity_of(cert);
  return facts;
}

std::string_view alpn_of(ssl_st* ssl) {
  const unsigned char* name = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(ssl, &name, &size);
  return {reinterpret_cast<const char*>(name), size};
}

}  // namespace penstock::net
