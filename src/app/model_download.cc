#include "app/model_download.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>

#include "artifact/files.h"
#include "net/address.h"

namespace penstock::app {
namespace {

constexpr int kRedirectsMax = 5;
constexpr std::uint64_t kTagBytesMax = 4096;

// Of a model over a slow line; what arrived stays, so that another attempt goes on.
constexpr http::ClientTimeouts kTimeouts{
    .first_byte = std::chrono::seconds(30), .idle = std::chrono::seconds(30), .total = std::chrono::hours(6)};

std::unexpected<Error> disk_failed(const std::string& file) {
  Errc code = errno == ENOSPC || errno == EDQUOT || errno == EFBIG ? Errc::resource_exhausted : Errc::permission_denied;
  return fail(code, fmt::format("{}: {}", file, std::strerror(errno)));
}

// The file that grows.
class Growing {
 public:
  ~Growing() {
    if (fd_ >= 0) ::close(fd_);
  }
  Result<void> open(const std::string& file, bool from_start) {
    file_ = file;
    int start = from_start ? O_TRUNC : 0;
    fd_ = ::open(file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC | start, 0600);
    return fd_ < 0 ? Result<void>(disk_failed(file)) : Result<void>();
  }
  Result<void> write(std::string_view bytes) {
    while (!bytes.empty()) {
      ssize_t written = ::write(fd_, bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return disk_failed(file_);
      bytes.remove_prefix(static_cast<std::size_t>(written));
    }
    return {};
  }

 private:
  std::string file_;
  int fd_ = -1;
};

std::uint64_t size_of(const std::string& file) {
  struct stat info{};
  return ::lstat(file.c_str(), &info) == 0 && S_ISREG(info.st_mode) ? static_cast<std::uint64_t>(info.st_size) : 0;
}

// What the state of a file is known by: a strong entity tag, or when it changed. Empty: nothing can be gone on with.
std::string tag_of(const wire::Fields& fields) {
  std::string_view tag = fields.get("etag");
  if (tag.empty() || tag.starts_with("W/")) tag = fields.get("last-modified");
  return tag.size() < kTagBytesMax ? std::string(tag) : std::string();
}

// "bytes 100-199/200" → 100 and 200; 0 for a size that is not said.
std::optional<std::pair<std::uint64_t, std::uint64_t>> read_range(std::string_view text) {
  constexpr std::string_view kUnit = "bytes ";
  std::size_t dash = text.find('-');
  std::size_t slash = text.find('/');
  if (!text.starts_with(kUnit) || dash == std::string_view::npos || slash == std::string_view::npos)
    return std::nullopt;
  std::uint64_t begin = 0;
  std::uint64_t total = 0;
  auto [end, error] = std::from_chars(text.data() + kUnit.size(), text.data() + dash, begin);
  if (error != std::errc() || end != text.data() + dash) return std::nullopt;
  std::from_chars(text.data() + slash + 1, text.data() + text.size(), total);
  return std::pair(begin, total);
}

Error status_error(int status, const std::string& place) {
  switch (status) {
    case 401:
    case 403:
      return {Errc::permission_denied,
              fmt::format("{} refused ({}): check the `authorization` of this pull", place, status)};
    case 404:
    case 410: return {Errc::not_found, fmt::format("{}: there is no such file ({})", place, status)};
    default: return {Errc::unavailable, fmt::format("{} answered with status {}", place, status)};
  }
}

}  // namespace

std::string shown_url(std::string_view url) { return std::string(url.substr(0, url.find('?'))); }

Result<std::string> resolve_redirect(std::string_view base, std::string_view location) {
  std::string target(location.substr(0, location.find('#')));
  std::string_view scheme = base.substr(0, base.find(':'));
  std::size_t authority_end = std::min(base.find('/', base.find("://") + 3), base.size());
  if (target.starts_with("//")) {
    target = fmt::format("{}:{}", scheme, target);
  } else if (target.starts_with('/')) {
    target = std::string(base.substr(0, authority_end)) + target;
  } else if (target.find("://") == std::string::npos) {
    std::string_view path = base.substr(0, base.find('?'));
    std::size_t folder = path.rfind('/');
    target = (folder < authority_end ? std::string(path.substr(0, authority_end)) + "/"
                                     : std::string(path.substr(0, folder + 1))) +
             target;
  }
  auto parsed = net::parse_url(target, {{"http", 80}, {"https", 443}});
  if (location.empty() || !parsed)
    return fail(Errc::invalid_argument, fmt::format("{} sends on to what is no URL of http or https", shown_url(base)));
  if (scheme == "https" && !parsed->tls()) {
    return fail(Errc::permission_denied,
                fmt::format("{} sends on to {}, which is not encrypted: refused", shown_url(base), parsed->place()));
  }
  return target;
}

struct ModelDownload::Step {
  const Options& options;
  std::string url;
  bool authorized = true;
  std::string redirect = {};  // where the answer sends on to
  bool restart = false;       // what is there is of no use
  Result<void> result = {};
};

rt::Task<Result<void>> ModelDownload::receive(http::ClientCall& call, Step& step) {
  std::string tag_file = step.options.file + ".tag";
  std::uint64_t there = size_of(step.options.file);
  std::uint64_t total = 0;
  bool from_start = call.status() == 200;
  if (from_start) {
    there = 0;
    std::string_view length = call.fields().get("content-length");
    std::from_chars(length.data(), length.data() + length.size(), total);
  } else {
    auto range = read_range(call.fields().get("content-range"));
    if (!range || range->first != there) {
      step.restart = true;
      co_return fail(Errc::protocol_error, "the server went on with another place than it was asked for");
    }
    total = range->second;
  }
  auto too_large = [&](std::uint64_t bytes) {
    return fail(Errc::out_of_range,
                fmt::format("{} is larger than the {} bytes a model file may have (inference.file_max)",
                            shown_url(step.url), bytes));
  };
  if (total > step.options.bytes_max) co_return too_large(step.options.bytes_max);
  if (from_start) ::unlink(tag_file.c_str());
  Growing file;
  if (auto opened = file.open(step.options.file, from_start); !opened) co_return opened;
  if (std::string tag = tag_of(call.fields()); from_start && !tag.empty()) {
    Growing tags;
    if (auto written = tags.open(tag_file, true); !written) co_return written;
    if (auto written = tags.write(tag); !written) co_return written;
  }
  while (true) {
    auto piece = co_await call.read();
    if (!piece) co_return std::unexpected(piece.error());
    if (piece->empty()) break;
    there += piece->size();
    if (there > step.options.bytes_max) co_return too_large(step.options.bytes_max);
    if (auto written = file.write(*piece); !written) co_return written;
    if (step.options.progress) step.options.progress(there, total);
  }
  if (total != 0 && there != total) co_return fail(Errc::data_loss, "the answer ended before the file did");
  co_return Result<void>{};
}

rt::Task<void> ModelDownload::exchange(Step& step) {
  auto url = net::parse_http_url(step.url);
  if (!url) {
    step.result = std::unexpected(url.error());
    co_return;
  }
  auto origin = std::make_shared<http::Origin>();
  origin->url = *url;
  if (url->tls()) {
    auto tls = net::TlsContext::client({.alpn = {"h2", "http/1.1"}});
    if (!tls) {
      step.result = std::unexpected(tls.error());
      co_return;
    }
    origin->tls = std::move(*tls);
  }
  std::string head =
      fmt::format("GET {}{} HTTP/1.1\r\nhost: {}\r\nuser-agent: penstock\r\naccept-encoding: identity\r\n",
                  url->path.starts_with('/') ? "" : "/", url->path, url->authority());
  if (step.authorized && !step.options.authorization.empty())
    head += fmt::format("authorization: {}\r\n", step.options.authorization.reveal());
  if (std::uint64_t there = size_of(step.options.file); there > 0) {
    auto tag = artifact::read_file(step.options.file + ".tag", kTagBytesMax);
    if (tag && !tag->empty() && tag->find_first_of("\r\n") == std::string::npos)
      head += fmt::format("range: bytes={}-\r\nif-range: {}\r\n", there, *tag);
  }
  std::shared_ptr<const http::Origin> target = std::move(origin);
  http::ClientCall call(pool_, target, kTimeouts);
  call_ = &call;
  if (cancelled_) call.cancel();
  auto sent = co_await call.send(head, {});
  if (!sent) {
    step.result = std::unexpected(sent.error());
  } else if (call.status() == 200 || call.status() == 206) {
    step.result = co_await receive(call, step);
  } else if (call.status() / 100 == 3 && call.status() != 304) {
    step.redirect = call.fields().get("location");
    if (step.redirect.empty()) step.redirect = "?";
  } else {
    step.restart = call.status() == 416;
    step.result = std::unexpected(status_error(call.status(), shown_url(step.url)));
  }
  call_ = nullptr;
}

Result<void> ModelDownload::once(Step& step) {
  rt::spawn(exchange(step), [this] { loop_.stop(); });
  loop_.run();
  if (step.restart) {
    ::unlink(step.options.file.c_str());
    ::unlink((step.options.file + ".tag").c_str());
  }
  return step.result;
}

Result<void> ModelDownload::run(Options options) {
  std::string url = options.url;
  bool authorized = true;
  for (int hop = 0; hop <= kRedirectsMax; ++hop) {
    if (cancelled_) return fail(Errc::cancelled, "the pull was ended");
    Step step{.options = options, .url = url, .authorized = authorized};
    auto done = once(step);
    if (!done) {
      if (done.error().detail.find(shown_url(url)) == std::string::npos)
        done.error().detail = shown_url(url) + ": " + done.error().detail;
      return done;
    }
    if (step.redirect.empty()) return {};
    auto next = resolve_redirect(url, step.redirect);
    if (!next) return std::unexpected(std::move(next.error()));
    authorized = authorized && net::parse_http_url(*next)->place() == net::parse_http_url(url)->place();
    url = std::move(*next);
  }
  return fail(Errc::unavailable, fmt::format("{} sends on from place to place, more than {} times",
                                             shown_url(options.url), kRedirectsMax));
}

void ModelDownload::cancel() {
  cancelled_ = true;
  loop_.post([this] {
    if (call_ != nullptr) call_->cancel();
  });
}

}  // namespace penstock::app
