// Our own certificate authority for devices: EC P-256, X.509 v3 (RFC 5280). Its folder is <data_dir>/devices:
//
//   ca.key     private key and certificate in one file, 0600: what signs
//   ca.pem     the certificate, for devices that verify a gateway whose certificate it signed
//   trust.pem  this and former ones, for `tls: { client_ca: ... }` and for a broker
//   ca.crl     the lists of revoked certificates, for a broker: one of each authority in trust.pem. That of a former
//   one
//              is the last it signed
//
// Files are replaced whole.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/secret.h"

struct x509_st;
struct evp_pkey_st;

namespace penstock::device {

class Authority {
 public:
  // A certificate for a device: its subject is subject_of(), its one alternative name the URI identity_of().
  struct Issued {
    std::string serial;       // hex, upper case
    std::string fingerprint;  // SHA-256 of the certificate, hex
    std::string certificate;  // PEM
    base::Secret key;         // PEM; empty when the device made it
    base::WallMicros expires = 0;
  };

  static bool exists(const std::string& folder);
  // Makes one; with `replace` in the place of the one there is, which stays among those that are trusted until it ends.
  // Errors: already_exists, invalid_argument, permission_denied.
  static Result<Authority> make(const std::string& folder, const std::string& name, int days, base::WallMicros now,
                                bool replace);
  // Errors: failed_precondition (there is none), data_loss (its file is damaged).
  static Result<Authority> open(const std::string& folder);

  // For a key made here, or for the key of a certificate signing request (PKCS #10, PEM), of which nothing else is
  // taken. 1 to 3650 days, not beyond the authority's own end. Errors: invalid_argument.
  Result<Issued> issue(const std::string& device, int days, base::WallMicros now) const;
  Result<Issued> sign(const std::string& device, std::string_view request, int days, base::WallMicros now) const;
  // Writes ca.crl with these serial numbers and when each was revoked, unless it says so already. It is good as long as
  // the authority: whoever reads it reads the file that this replaces.
  Result<void> write_revoked(const std::vector<std::pair<std::string, base::WallMicros>>& revoked,
                             base::WallMicros now) const;

  const std::string& pem() const { return pem_; }
  base::WallMicros expires() const;

 private:
  Authority(std::string folder, std::shared_ptr<x509_st> cert, std::shared_ptr<evp_pkey_st> key, std::string pem)
      : folder_(std::move(folder)), cert_(std::move(cert)), key_(std::move(key)), pem_(std::move(pem)) {}
  Result<Issued> certify(const std::string& device, evp_pkey_st* key, int days, base::WallMicros now) const;

  std::string folder_;
  std::shared_ptr<x509_st> cert_;
  std::shared_ptr<evp_pkey_st> key_;
  std::string pem_;
};

}  // namespace penstock::device
