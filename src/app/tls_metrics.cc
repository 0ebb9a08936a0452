#include "app/tls_metrics.h"

#include "net/tls_figures.h"

namespace penstock::app {

void collect_tls(obs::MetricWriter& writer) {
  writer.family("penstock_tls_handshakes_total", "counter", "TLS handshakes that were finished");
  for (const net::TlsHandshakeFigure& one : net::tls_handshakes()) {
    writer.sample("penstock_tls_handshakes_total",
                  {{"side", one.side},
                   {"version", one.version},
                   {"group", one.group},
                   {"resumed", one.resumed ? "true" : "false"}},
                  static_cast<double>(one.count));
  }
  writer.family("penstock_tls_handshake_failures_total", "counter", "TLS handshakes that failed, by reason");
  for (const net::TlsFailureFigure& one : net::tls_failures()) {
    writer.sample("penstock_tls_handshake_failures_total", {{"side", one.side}, {"reason", one.reason}},
                  static_cast<double>(one.count));
  }
}

}  // namespace penstock::app
