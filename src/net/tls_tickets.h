// The keys under which session tickets are sealed (RFC 5077 section 4, RFC 8446 section 4.6.1): one set for a process,
// so that a session goes on whatever listener it comes back to and whatever was reloaded since.
#pragma once

#include <array>
#include <deque>
#include <mutex>
#include <optional>

#include "base/clock.h"

namespace penstock::net {

struct TlsTicketKey {
  std::array<unsigned char, 16> name;
  std::array<unsigned char, 32> cipher;  // AES-256-CBC
  std::array<unsigned char, 32> mac;     // HMAC-SHA-256
};

// Any thread. Keys are random, live in memory only and are wiped when they go.
class TlsTicketKeys {
 public:
  // No ticket lives longer.
  static constexpr auto kLifetimeMax = std::chrono::hours(24);
  // A key seals for this long, then opens for kLifetimeMax more.
  static constexpr auto kPeriod = std::chrono::hours(4);

  TlsTicketKeys() = default;
  ~TlsTicketKeys();
  TlsTicketKeys(const TlsTicketKeys&) = delete;
  TlsTicketKeys& operator=(const TlsTicketKeys&) = delete;
  // The process's.
  static TlsTicketKeys& instance();

  // The one to seal with. Nothing when the system gives no random numbers.
  std::optional<TlsTicketKey> sealing(base::SteadyTime now);
  struct Opening {
    TlsTicketKey key;
    bool fresh;  // still the one to seal with; otherwise the client should get a new ticket
  };
  // The one of this name; nothing when it is unknown or has gone.
  std::optional<Opening> opening(const unsigned char* name, base::SteadyTime now);

 private:
  struct Entry {
    TlsTicketKey key;
    base::SteadyTime made;
  };
  void forget_old(base::SteadyTime now);
  std::mutex mutex_;        // for a moment per handshake
  std::deque<Entry> keys_;  // newest first
};

}  // namespace penstock::net
