#include "broker/authorities.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <array>
#include <memory>

namespace penstock::broker {

std::set<std::string> authorities_in(const std::string& pem, bool ended) {
  std::set<std::string> keys;
  const std::unique_ptr<BIO, int (*)(BIO*)> text(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), BIO_free);
  while (text) {
    // As Mosquitto reads it: "CERTIFICATE", "X509 CERTIFICATE" and "TRUSTED CERTIFICATE".
    const std::unique_ptr<X509, void (*)(X509*)> cert(PEM_read_bio_X509_AUX(text.get(), nullptr, nullptr, nullptr),
                                                      X509_free);
    if (!cert) break;
    if (!ended && X509_cmp_current_time(X509_get0_notAfter(cert.get())) < 0) continue;
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned int size = 0;
    if (X509_pubkey_digest(cert.get(), EVP_sha256(), digest.data(), &size) == 1)
      keys.emplace(digest.begin(), digest.begin() + size);
  }
  ERR_clear_error();
  return keys;
}

}  // namespace penstock::broker
