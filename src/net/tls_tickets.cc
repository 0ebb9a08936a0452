#include "net/tls_tickets.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>

namespace penstock::net {

TlsTicketKeys::~TlsTicketKeys() {
  for (Entry& entry : keys_) OPENSSL_cleanse(&entry.key, sizeof entry.key);
}

TlsTicketKeys& TlsTicketKeys::instance() {
  static TlsTicketKeys keys;
  return keys;
}

void TlsTicketKeys::forget_old(base::SteadyTime now) {
  while (!keys_.empty() && now - keys_.back().made >= kPeriod + kLifetimeMax) {
    OPENSSL_cleanse(&keys_.back().key, sizeof(TlsTicketKey));
    keys_.pop_back();
  }
}

std::optional<TlsTicketKey> TlsTicketKeys::sealing(base::SteadyTime now) {
  std::lock_guard lock(mutex_);
  forget_old(now);
  if (!keys_.empty() && now - keys_.front().made < kPeriod) return keys_.front().key;
  TlsTicketKey key;
  static_assert(sizeof key == 80, "no padding: filled as one piece");
  if (RAND_bytes(reinterpret_cast<unsigned char*>(&key), sizeof key) != 1) return std::nullopt;
  keys_.push_front({key, now});
  return key;
}

std::optional<TlsTicketKeys::Opening> TlsTicketKeys::opening(const unsigned char* name, base::SteadyTime now) {
  std::lock_guard lock(mutex_);
  forget_old(now);
  for (const Entry& entry : keys_) {
    if (std::equal(entry.key.name.begin(), entry.key.name.end(), name))
      return Opening{entry.key, now - entry.made < kPeriod};
  }
  return std::nullopt;
}

}  // namespace penstock::net
