// TLS handshakes as metrics.
#pragma once

#include "obs/metrics.h"

namespace penstock::app {

void collect_tls(obs::MetricWriter& writer);

}  // namespace penstock::app
