// What becomes of clients that are cut off because they do too much of what makes no sense: a line in the log and a
// metric, penstock_http2_abuse_total.
#pragma once

#include "http/server.h"
#include "obs/observer.h"

namespace penstock::app {

// For servers of any thread. The observer outlives them.
http::AbuseHook report_abuse(obs::Observer& observer);

}  // namespace penstock::app
