// Keys that sign and check signatures: Ed25519 (RFC 8032) and ECDSA over P-256, P-384 and P-521, in PEM.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/secret.h"

struct evp_pkey_st;

namespace penstock::artifact {

class PublicKey {
 public:
  // Every key of `pem` ("-----BEGIN PUBLIC KEY-----"), at least one. Errors: invalid_argument, which says what stands
  // there instead; a private key is never repeated.
  static Result<std::vector<PublicKey>> parse(std::string_view pem);

  // Whether this key's owner signed `message`. Ed25519 takes its 64 bytes; ECDSA the DER form, over SHA-256, -384 or
  // -512 by the size of the curve. Any thread.
  bool verifies(std::string_view message, std::string_view signature) const;
  // The first 16 hexadecimal digits of the SHA-256 of the key (SubjectPublicKeyInfo): how people tell keys apart.
  const std::string& id() const { return id_; }
  std::string_view algorithm() const { return algorithm_; }

 private:
  friend class PrivateKey;
  static Result<PublicKey> adopt(std::shared_ptr<evp_pkey_st> key);
  std::shared_ptr<evp_pkey_st> key_;
  std::string id_;
  std::string_view algorithm_;
};

class PrivateKey {
 public:
  // A new Ed25519 key.
  static PrivateKey generate();
  // PEM, PKCS #8, without a password. Errors: invalid_argument.
  static Result<PrivateKey> parse(const base::Secret& pem);

  // As PublicKey::verifies() takes it.
  Result<std::string> sign(std::string_view message) const;
  base::Secret pem() const;
  std::string public_pem() const;
  Result<PublicKey> public_key() const { return PublicKey::adopt(key_); }

 private:
  explicit PrivateKey(std::shared_ptr<evp_pkey_st> key) : key_(std::move(key)) {}
  std::shared_ptr<evp_pkey_st> key_;
};

}  // namespace penstock::artifact
