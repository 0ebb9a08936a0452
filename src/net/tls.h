// TLS over OpenSSL 3: contexts are made once from configuration and shared by every loop (OpenSSL's are thread-safe
// once set up). Versions 1.2 and 1.3 only; peers are verified unless a configuration says otherwise in so many words.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"

struct ssl_ctx_st;
struct ssl_st;
struct ssl_session_st;

namespace penstock::net {

// How to trust the other side when connecting out.
struct TlsClientOptions {
  std::string ca_file;                // replaces the system's certificate authorities when not empty
  bool insecure_skip_verify = false;  // takes any certificate: only for tests on a line one owns
};

// How to prove who we are when others connect.
struct TlsServerOptions {
  std::string cert_file;  // PEM, with the chain
  std::string key_file;   // PEM; must fit the certificate
  bool operator==(const TlsServerOptions&) const = default;
};

// What a handshake settled. All empty: no TLS.
struct TlsFacts {
  std::string version;      // "TLSv1.3"
  std::string cipher;       // OpenSSL's name of the suite
  std::string group;        // of the key exchange: "X25519MLKEM768"; empty when the library does not tell
  std::string alpn;         // the protocol chosen, empty for none
  std::string server_name;  // asked for by SNI
  std::string identity;     // of the other side's verified certificate; empty: none was shown, or not verified
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

class TlsContext {
 public:
  // For connecting out. Any thread.
  static Result<std::shared_ptr<TlsContext>> client(const TlsClientOptions& options = {});
  // For listening. Reads the files. Errors: invalid_argument, naming the file.
  static Result<std::shared_ptr<TlsContext>> server(const TlsServerOptions& options);
  ~TlsContext();
  ssl_ctx_st* get() const { return context_; }
  // Before the handshake: offers the session that is kept and keeps the next one there.
  static void resume(ssl_st* ssl, TlsSession& session);

 private:
  static Result<std::shared_ptr<TlsContext>> make_client(const TlsClientOptions& options);
  explicit TlsContext(ssl_ctx_st* context) : context_(context) {}
  ssl_ctx_st* context_;
};

}  // namespace penstock::net
