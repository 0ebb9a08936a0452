#include "ext/sinks/postgres/libpq.h"

#include <dlfcn.h>

#include <mutex>

namespace penstock::ext {
namespace {

constexpr const char* kFileName = "libpq.so.5";

Result<Libpq> open_once() {
  void* handle = ::dlopen(kFileName, RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    return fail(Errc::unavailable, fmt::format("PostgreSQL's client library cannot be loaded ({}): install the package "
                                               "libpq5",
                                               ::dlerror()));
  }
  Libpq lib;
  const std::pair<const char*, void*> names[] = {
      {"PQconnectStartParams", &lib.connect_start},
      {"PQconnectPoll", &lib.connect_poll},
      {"PQstatus", &lib.status},
      {"PQerrorMessage", &lib.error_message},
      {"PQsocket", &lib.socket},
      {"PQsetnonblocking", &lib.set_nonblocking},
      {"PQsendQueryParams", &lib.send_query},
      {"PQflush", &lib.flush},
      {"PQconsumeInput", &lib.consume_input},
      {"PQisBusy", &lib.is_busy},
      {"PQgetResult", &lib.get_result},
      {"PQresultStatus", &lib.result_status},
      {"PQresultErrorField", &lib.error_field},
      {"PQresultErrorMessage", &lib.result_error},
      {"PQclear", &lib.clear},
      {"PQfinish", &lib.finish},
      {"PQsetNoticeProcessor", &lib.set_notice_processor},
  };
  for (const auto& [name, place] : names) {
    void* symbol = ::dlsym(handle, name);
    if (symbol == nullptr) return fail(Errc::unavailable, fmt::format("{} has no {}: it is too old", kFileName, name));
    std::memcpy(place, &symbol, sizeof(symbol));
  }
  return lib;
}

}  // namespace

Result<const Libpq*> open_libpq() {
  static std::mutex mutex;
  static std::optional<Libpq> opened;
  std::lock_guard lock(mutex);
  if (!opened) {
    auto lib = open_once();
    if (!lib) return std::unexpected(lib.error());
    opened = *lib;
  }
  return &*opened;
}

}  // namespace penstock::ext
