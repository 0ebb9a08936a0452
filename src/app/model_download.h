// One file over HTTP or HTTPS into a file on disk, gone on with where an earlier attempt ended.
#pragma once

#include <atomic>
#include <functional>
#include <string>

#include "base/result.h"
#include "base/secret.h"
#include "http/client.h"

namespace penstock::app {

// What people may see of a URL: without what stands behind the question mark, which may be a credential.
std::string shown_url(std::string_view url);

// `location` as the answer to a request to `base` gave it (RFC 9110 section 10.2.2): absolute, or relative to `base`.
// Errors: invalid_argument for what is no HTTP URL; permission_denied from https to http.
Result<std::string> resolve_redirect(std::string_view base, std::string_view location);

class ModelDownload {
 public:
  struct Options {
    std::string url = {};
    base::Secret authorization = {};  // the field; not sent on to another host, scheme or port
    std::string file = {};            // what is there of it is gone on with when FILE.tag says of which state it is
    std::uint64_t bytes_max = 0;
    std::function<void(std::uint64_t, std::uint64_t)> progress = {};  // bytes there, and of how many; 0: not known
  };

  // The calling thread's own loop: blocks it. At most five redirects. Errors: not_found (404, 410), permission_denied
  // (401, 403, and what the egress rules forbid), out_of_range (larger than bytes_max), resource_exhausted (the disk),
  // cancelled, unavailable, data_loss (cut), deadline_exceeded: what arrived stays for another attempt.
  Result<void> run(Options options);
  // Any thread: run() ends soon.
  void cancel();

 private:
  struct Step;
  rt::Task<void> exchange(Step& step);
  rt::Task<Result<void>> receive(http::ClientCall& call, Step& step);
  Result<void> once(Step& step);

  rt::Loop loop_;
  http::ClientPool pool_{loop_};
  http::ClientCall* call_ = nullptr;
  std::atomic<bool> cancelled_{false};
};

}  // namespace penstock::app
