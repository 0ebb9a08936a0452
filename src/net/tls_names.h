// Which certificates a client gets for the name it asks for (RFC 6066 section 3, RFC 6125 section 6.4.3).
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "net/tls_certificate.h"

namespace penstock::net {

// Certificates for one name, one per kind of key: the client's capabilities decide among them.
using CertificateSet = std::vector<const Certificate*>;

// Immutable. Refers to the certificates it was made of.
class NameTable {
 public:
  NameTable() = default;
  // Of several with the same name and kind of key the first counts. At least one.
  explicit NameTable(const std::vector<Certificate>& certificates);
  // For a name in any case; null when nobody has it. An exact name comes before a wildcard, which stands for one label.
  const CertificateSet* find(std::string_view name) const;
  // The first certificate, and those of its names with other kinds of key.
  const CertificateSet& by_default() const { return default_; }

 private:
  std::map<std::string, CertificateSet, std::less<>> exact_;
  std::map<std::string, CertificateSet, std::less<>> wildcards_;  // by what stands behind "*."
  CertificateSet default_;
};

}  // namespace penstock::net
