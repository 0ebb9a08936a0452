// What went wrong between us and a broker, in words, with what to do next.
#pragma once

#include <string>
#include <string_view>

#include "mqtt/options.h"

namespace penstock::mqtt {

// CONNACK's code: MQTT 3.1.1 section 3.2.2.3, MQTT 5.0 section 3.2.2.2.
std::string connect_refusal(Version version, int code);
// The code of a refused subscription or publication: 128 and above.
std::string request_refusal(int code);
// Why a connection ended: a code of libmosquitto, or a reason the broker gave (128 and above). `library_log` is the
// library's last error line, where TLS failures explain themselves.
std::string disconnect_reason(int code, int error_number, std::string_view library_log);
// Why a TCP connection could not be made, for an errno.
std::string socket_reason(int error_number);
// Why a name did not become an address, for a code of getaddrinfo.
std::string lookup_reason(std::string_view host, int code);

}  // namespace penstock::mqtt
