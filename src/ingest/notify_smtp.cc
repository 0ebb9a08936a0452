// Notices as mail (RFC 5321, RFC 5322) over libcurl, which is loaded with the first target that wants it: a gateway
// without one never has it in memory.
#include <curl/curl.h>
#include <dlfcn.h>

#include <ctime>

#include "base/secret.h"
#include "ingest/notify_carrier.h"
#include "ingest/sample_json.h"

namespace penstock::ingest {
namespace {

constexpr long kConnectSeconds = 10;
constexpr long kTotalSeconds = 30;

// What is used of it. Never unloaded.
struct Curl {
  decltype(&curl_global_init) global_init = nullptr;
  decltype(&curl_easy_init) init = nullptr;
  decltype(&curl_easy_cleanup) cleanup = nullptr;
  decltype(&curl_easy_setopt) set = nullptr;
  decltype(&curl_easy_perform) perform = nullptr;
  decltype(&curl_easy_getinfo) info = nullptr;
  decltype(&curl_easy_strerror) words = nullptr;
  decltype(&curl_slist_append) append = nullptr;
  decltype(&curl_slist_free_all) free_all = nullptr;
  std::string problem;
};

template <class F>
void find(void* library, const char* name, F& function, std::string& problem) {
  function = reinterpret_cast<F>(::dlsym(library, name));
  if (function == nullptr) problem = fmt::format("libcurl has no {}", name);
}

const Curl& curl() {
  static const Curl kCurl = [] {
    Curl found;
    void* library = ::dlopen("libcurl.so.4", RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
      found.problem = "mail needs libcurl (package libcurl4): it is not installed";
      return found;
    }
    find(library, "curl_global_init", found.global_init, found.problem);
    find(library, "curl_easy_init", found.init, found.problem);
    find(library, "curl_easy_cleanup", found.cleanup, found.problem);
    find(library, "curl_easy_setopt", found.set, found.problem);
    find(library, "curl_easy_perform", found.perform, found.problem);
    find(library, "curl_easy_getinfo", found.info, found.problem);
    find(library, "curl_easy_strerror", found.words, found.problem);
    find(library, "curl_slist_append", found.append, found.problem);
    find(library, "curl_slist_free_all", found.free_all, found.problem);
    if (found.problem.empty() && found.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
      found.problem = "libcurl does not start";
    return found;
  }();
  return kCurl;
}

// Names come from strangers: a header is one line of printable ASCII.
std::string header_text(std::string_view text) {
  std::string out;
  for (char c : text.substr(0, 200)) out += c >= 0x20 && c < 0x7f ? c : '?';
  return out;
}

std::string date_text(base::WallMicros at) {
  std::time_t seconds = at / 1'000'000;
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  return fmt::format("{}, {:02} {} {} {:02}:{:02}:{:02} +0000", kDays[parts.tm_wday], parts.tm_mday,
                     kMonths[parts.tm_mon], parts.tm_year + 1900, parts.tm_hour, parts.tm_min, parts.tm_sec);
}

std::string mail_of(const SmtpTarget& target, const Notice& notice) {
  const AlarmChange& alarm = notice.alarm;
  std::string out =
      fmt::format("Date: {}\r\nFrom: {}\r\nTo: {}\r\n", date_text(notice.at), target.from, fmt::join(target.to, ", "));
  out += fmt::format("Subject: [{}] {} {}{}{}\r\n", header_text(alarm.severity), header_text(alarm.name), notice.event,
                     alarm.device.empty() ? "" : " on ", header_text(alarm.device));
  out += fmt::format("Message-ID: <{}@penstock>\r\nMIME-Version: 1.0\r\nAuto-Submitted: auto-generated\r\n", notice.id);
  out += "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n";
  std::string at;
  append_time(at, alarm.at);
  std::string body =
      fmt::format("Alarm     {} {}\nSeverity  {}\nDevice    {}\nPipeline  {}\nSince     {}\nWhy       {}\n", alarm.name,
                  notice.event, alarm.severity, alarm.device, alarm.pipeline, at, alarm.why);
  // Lines end with CR LF and hold nothing else that moves the cursor; libcurl doubles dots at their beginning.
  std::size_t column = 0;
  for (char c : body) {
    if (c == '\n' || column >= 900) {
      out += "\r\n";
      column = 0;
      if (c == '\n') continue;
    }
    out += static_cast<unsigned char>(c) < 0x20 ? '?' : c;
    ++column;
  }
  return out;
}

struct Reading {
  std::string_view rest;
};
std::size_t read_mail(char* to, std::size_t size, std::size_t count, void* from) {
  auto& reading = *static_cast<Reading*>(from);
  std::size_t bytes = std::min(size * count, reading.rest.size());
  std::copy_n(reading.rest.data(), bytes, to);
  reading.rest.remove_prefix(bytes);
  return bytes;
}

// Nobody waits for it any more: libcurl asks about once a second.
int given_up(void* gone, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  return static_cast<const std::atomic<bool>*>(gone)->load() ? 1 : 0;
}

// Blocks.
Result<void> send_mail(const SmtpTarget& target, const std::string& mail, std::atomic<bool>& gone) {
  const Curl& lib = curl();
  if (!lib.problem.empty()) return fail(Errc::failed_precondition, lib.problem);
  std::unique_ptr<CURL, decltype(lib.cleanup)> handle(lib.init(), lib.cleanup);
  curl_slist* list = nullptr;
  for (const std::string& one : target.to) list = lib.append(list, fmt::format("<{}>", one).c_str());
  std::unique_ptr<curl_slist, decltype(lib.free_all)> recipients(list, lib.free_all);
  Reading reading{mail};
  CURL* easy = handle.get();
  lib.set(easy, CURLOPT_URL, target.url.c_str());
  lib.set(easy, CURLOPT_MAIL_FROM, fmt::format("<{}>", target.from).c_str());
  lib.set(easy, CURLOPT_MAIL_RCPT, list);
  lib.set(easy, CURLOPT_READFUNCTION, read_mail);
  lib.set(easy, CURLOPT_READDATA, &reading);
  lib.set(easy, CURLOPT_UPLOAD, 1L);
  lib.set(easy, CURLOPT_NOSIGNAL, 1L);
  lib.set(easy, CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
  lib.set(easy, CURLOPT_TIMEOUT, kTotalSeconds);
  lib.set(easy, CURLOPT_PROXY, "");
  lib.set(easy, CURLOPT_NOPROGRESS, 0L);
  lib.set(easy, CURLOPT_XFERINFOFUNCTION, given_up);
  lib.set(easy, CURLOPT_XFERINFODATA, static_cast<void*>(&gone));
  lib.set(easy, CURLOPT_USE_SSL, static_cast<long>(target.starttls ? CURLUSESSL_ALL : CURLUSESSL_NONE));
  if (!target.ca.empty()) lib.set(easy, CURLOPT_CAINFO, target.ca.c_str());
  if (!target.username.empty()) {
    lib.set(easy, CURLOPT_USERNAME, target.username.c_str());
    lib.set(easy, CURLOPT_PASSWORD, std::string(target.password.reveal()).c_str());
  }
  CURLcode code = lib.perform(easy);
  if (code == CURLE_OK) return {};
  long answer = 0;
  lib.info(easy, CURLINFO_RESPONSE_CODE, &answer);
  bool never = answer >= 500 && answer < 600 && code != CURLE_LOGIN_DENIED;
  return fail(
      never ? Errc::invalid_argument : Errc::unavailable,
      answer > 0 ? fmt::format("{} (the mail server said {})", lib.words(code), answer) : std::string(lib.words(code)));
}

class SmtpCarrier : public Carrier {
 public:
  SmtpCarrier(SmtpTarget target, std::shared_ptr<rt::Pool> pool) : target_(std::move(target)), pool_(std::move(pool)) {}
  ~SmtpCarrier() override { gone_->store(true); }

  void send(rt::Loop& loop, const Notice& notice, Done done) override {
    auto shared = std::make_shared<Done>(std::move(done));
    auto taken = pool_->run(
        loop,
        [target = target_, mail = mail_of(target_, notice), gone = gone_] { return send_mail(target, mail, *gone); },
        [shared](Result<void> result) { (*shared)(std::move(result)); });
    if (!taken) (*shared)(std::unexpected(taken.error()));
  }

 private:
  SmtpTarget target_;
  std::shared_ptr<rt::Pool> pool_;
  std::shared_ptr<std::atomic<bool>> gone_ = std::make_shared<std::atomic<bool>>(false);
};

}  // namespace

std::unique_ptr<Carrier> make_smtp_carrier(const SmtpTarget& target, std::shared_ptr<rt::Pool> pool) {
  return std::make_unique<SmtpCarrier>(target, std::move(pool));
}

}  // namespace penstock::ingest
