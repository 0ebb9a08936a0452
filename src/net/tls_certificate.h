// Certificates and keys as files hold them.
#pragma once

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "net/tls.h"

namespace penstock::net {

template <auto Free>
struct FreeWith {
  template <class T>
  void operator()(T* pointer) const {
    Free(pointer);
  }
};
using X509Pointer = std::unique_ptr<X509, FreeWith<X509_free>>;
using KeyPointer = std::unique_ptr<EVP_PKEY, FreeWith<EVP_PKEY_free>>;
struct FreeChain {
  void operator()(STACK_OF(X509) * chain) const { sk_X509_pop_free(chain, X509_free); }
};
using ChainPointer = std::unique_ptr<STACK_OF(X509), FreeChain>;

// The library's own reason for the last failure of this thread; it names no secret. Empties its queue.
std::string tls_reason();

struct Certificate {
  X509Pointer cert;
  ChainPointer chain;  // what stands behind it in its file
  KeyPointer key;
  int key_kind = 0;                // EVP_PKEY_RSA, EVP_PKEY_EC, ...
  std::vector<std::string> names;  // DNS names in lower case, "*.example.org" included
};

// Errors: invalid_argument, naming the file: it cannot be read, is no PEM, has a password, does not fit.
Result<Certificate> load_certificate(const TlsKeyPair& files);

// See TlsFacts::identity. Empty when it has none, or one with characters no name has.
std::string identity_of(X509* cert);
// SHA-256 of its SubjectPublicKeyInfo as a pin has it: "sha256/BASE64".
std::string pin_of(X509* cert);
// Whether a text has the form of a pin.
bool is_pin(std::string_view text);

}  // namespace penstock::net
