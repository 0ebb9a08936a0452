// TLS over OpenSSL 3: contexts are made from configuration and shared by every loop (OpenSSL's are thread-safe once set
// up). Versions 1.2 and 1.3 only; whoever connects out verifies the other side, and nothing switches that off.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

struct ssl_ctx_st;
struct ssl_st;
struct ssl_session_st;

namespace penstock::net {

enum class TlsVersion { tls12, tls13 };
// Whether who connects shows a certificate of its own: never asked for one; may; must. One that is shown is verified.
enum class ClientAuth { none, optional, required };

// Two PEM files: the certificate with its chain, and the key that fits it.
struct TlsKeyPair {
  std::string cert_file = {};
  std::string key_file = {};
  bool operator==(const TlsKeyPair&) const = default;
};

// How to trust the other side when connecting out, and what to show it.
struct TlsClientOptions {
  std::string ca_file = {};            // replaces the system's certificate authorities when not empty
  TlsKeyPair certificate = {};         // shown to servers that ask; empty: none
  std::vector<std::string> pins = {};  // "sha256/BASE64" of public keys (RFC 7469 section 2.4); not empty: the server's
                                       // own key is one of them, and its chain and name are verified all the same
  std::vector<std::string> alpn{"http/1.1"};  // offered, most wanted first; empty: no ALPN
  // Those it names: a context made after one of them changed differs.
  std::vector<std::string> files() const;
  bool operator==(const TlsClientOptions&) const = default;
};

// How to prove who we are when others connect, and whom to let in.
struct TlsServerOptions {
  // At least one. Which of them a client gets is told by the name it asks for (SNI) and the names in the certificates
  // (DNS names of subjectAltName, also *.example.org); of those, one per kind of key. No name, or one that nobody has:
  // the first, and those of its name with other kinds of key.
  std::vector<TlsKeyPair> certificates = {};
  std::string client_ca_file = {};  // who may sign clients' certificates, PEM
  ClientAuth client_auth = ClientAuth::none;
  TlsVersion min_version = TlsVersion::tls12;
  std::chrono::seconds session_lifetime = std::chrono::hours(2);  // of a ticket; at most TlsTicketKeys::kLifetimeMax
  std::vector<std::string> alpn{"http/1.1"};  // most wanted first. A client that offers only others is refused
  // Those it names: a context made after one of them changed differs.
  std::vector<std::string> files() const;
  bool operator==(const TlsServerOptions&) const = default;
};

// What a handshake settled. All empty: no TLS.
struct TlsFacts {
  std::string version;      // "TLSv1.3"
  std::string cipher;       // OpenSSL's name of the suite
  std::string group;        // of the key exchange: "X25519MLKEM768"; empty when the library does not tell
  std::string alpn;         // the protocol chosen, empty for none
  std::string server_name;  // asked for by SNI
  std::string identity;  // of the other side's verified certificate: its first URI (SPIFFE), else its first DNS name,
                         // else e-mail address, else common name; empty: none was shown
  bool resumed = false;
};

// The last session a server offered, for a shorter handshake next time. One place: one thread. Connections that were
// started with it put newer ones in, so it outlives them.
class TlsSession {
 public:
  TlsSession() = default;
  ~TlsSession() { keep(nullptr); }
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;
  // Takes the reference.
  void keep(ssl_session_st* session);
  ssl_session_st* get() const { return session_; }

 private:
  ssl_session_st* session_ = nullptr;
};

class TlsTicketKeys;

class TlsContext {
 public:
  // For connecting out. Reads the files. Any thread. Errors: invalid_argument, naming the file.
  static Result<std::shared_ptr<TlsContext>> client(const TlsClientOptions& options = {});
  // For listening. Reads the files. Sessions begun under one context go on under every other with the same
  // `ticket_keys`, by default the process's, unless whom they let in differs. Errors: invalid_argument, naming the
  // file.
  static Result<std::shared_ptr<TlsContext>> server(const TlsServerOptions& options);
  static Result<std::shared_ptr<TlsContext>> server(const TlsServerOptions& options, TlsTicketKeys& ticket_keys);

  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;
  virtual ~TlsContext();
  ssl_ctx_st* get() const { return context_; }
  // Before the handshake: offers the session that is kept and keeps the next one there.
  static void resume(ssl_st* ssl, TlsSession& session);

 protected:
  // Takes the context and gives it what both sides have in common.
  TlsContext(ssl_ctx_st* context, const std::vector<std::string>& alpn);
  std::string alpn_;  // as it is on the wire

 private:
  ssl_ctx_st* context_;
};

// Of a finished handshake.
TlsFacts facts_of(ssl_st* ssl);
std::string_view alpn_of(ssl_st* ssl);

}  // namespace penstock::net
