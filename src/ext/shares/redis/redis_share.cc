#include "ext/shares/redis/redis_share.h"

#include <fmt/format.h>
#include <hiredis/hiredis.h>

#include <algorithm>

#include "base/secret.h"
#include "base/text.h"
#include "ext/shares/redis/scripts.h"
#include "obs/log.h"

namespace penstock::ext {
namespace {

using namespace std::chrono_literals;

// Some 300 microseconds of a Redis, which does nothing else meanwhile.
constexpr std::size_t kPartMeters = 200;
// Numbers of parts rise over all batches: the number of the batch, then that of its part.
constexpr std::uint64_t kPartsMax = 4096;
constexpr base::Duration kKeepLeast = 1s;
constexpr base::Duration kKeepMost = std::chrono::hours(24 * 400);
constexpr std::size_t kStampDigits = 21;
constexpr base::WallMicros kClocksApart = 100'000;

std::string_view text_of(const redisReply& reply) {
  if (reply.type != REDIS_REPLY_STRING && reply.type != REDIS_REPLY_STATUS) return {};
  return {reply.str, static_cast<std::size_t>(reply.len)};
}

std::unexpected<Error> odd_answer() {
  return fail(Errc::failed_precondition,
              "its answer is not what the script gives; is it a Redis 6 or newer, or a Valkey?");
}

bool is_array(const redisReply& reply, std::size_t least) {
  return reply.type == REDIS_REPLY_ARRAY && reply.elements >= least;
}

std::string to_value(const quota::SharedRecord& record) {
  return fmt::format("{}{:020d}{}", record.final ? 1 : 0, std::max<base::WallMicros>(record.changed, 0), record.text);
}

std::optional<quota::SharedRecord> to_record(std::string_view id, std::string_view value) {
  if (value.size() < kStampDigits) return std::nullopt;
  quota::SharedRecord record;
  record.id = id;
  record.final = value[0] == '1';
  const auto [end, error] = std::from_chars(value.data() + 1, value.data() + kStampDigits, record.changed);
  if (error != std::errc() || end != value.data() + kStampDigits) return std::nullopt;
  record.text = value.substr(kStampDigits);
  return record;
}

std::size_t parts_of(const quota::ShareBatch& batch) {
  return std::max<std::size_t>(1, (batch.uses.size() + kPartMeters - 1) / kPartMeters);
}

}  // namespace

std::string RedisShare::key(std::string_view name) const { return fmt::format("{{{}}}:{}", options_.prefix, name); }

Result<RedisReply> RedisShare::reply() {
  auto answer = connection_->reply();
  if (!answer) connection_.reset();  // also after an error of a script: answers of others may still be on their way
  return answer;
}

Result<void> RedisShare::connect() {
  if (connection_) return {};
  auto opened = RedisConnection::open(options_.address, options_.timeout);
  if (!opened) return std::unexpected(opened.error());
  connection_.emplace(std::move(*opened));
  struct Script {
    std::string_view text;
    std::string& sha;
  };
  std::array<Script, 3> scripts{
      {{kExchangeScript, exchange_sha_}, {kPutScript, put_sha_}, {kChangesScript, changes_sha_}}};
  for (const Script& script : scripts) connection_->send({"SCRIPT", "LOAD", script.text});
  for (Script& script : scripts) {
    auto loaded = reply();
    if (!loaded) return std::unexpected(loaded.error());
    script.sha = text_of(**loaded);
  }
  return {};
}

void RedisShare::send_part(const quota::ShareBatch& batch, std::size_t part, std::string_view new_token) {
  const std::size_t from = part * kPartMeters;
  const std::size_t end = std::min(batch.uses.size(), from + kPartMeters);
  std::vector<std::string> words{"EVALSHA",      exchange_sha_,   std::to_string(4 + end - from),
                                 key("life"),    key("gateways"), key("told:" + options_.gateway),
                                 key("revision")};
  for (std::size_t i = from; i < end; ++i) words.push_back(key("meter:" + batch.uses[i].meter));
  words.push_back(options_.gateway);
  words.push_back(std::to_string(batch.number * kPartsMax + part));
  words.push_back(life_.token);
  words.push_back(std::to_string(life_.turns));
  words.emplace_back(new_token);
  for (std::size_t i = from; i < end; ++i) {
    const quota::SharedUse& use = batch.uses[i];
    const base::Duration keep = std::clamp(use.keep, kKeepLeast, kKeepMost);
    words.push_back(std::to_string(use.used));
    words.push_back(std::to_string(use.known));
    words.push_back(std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(keep).count()));
  }
  connection_->send({words.begin(), words.end()});
}

Result<void> RedisShare::read_part(const redisReply& reply, std::size_t part, const quota::ShareBatch& batch,
                                   quota::ShareAnswer& answer) {
  const std::size_t from = part * kPartMeters;
  const std::size_t meters = std::min(batch.uses.size() - from, kPartMeters);
  if (!is_array(reply, 5 + meters)) return odd_answer();
  answer.gateways = static_cast<int>(std::clamp<long long>(reply.element[2]->integer, 1, 1'000'000));
  answer.revision = reply.element[3]->integer;
  for (std::size_t i = 0; i < meters; ++i) {
    const quota::SharedUse& use = batch.uses[from + i];
    answer.sums.push_back({use.meter, use.used, reply.element[5 + i]->integer});
  }
  return {};
}

// One round trip. Parts of a batch that were counted before are told apart by their numbers.
Result<quota::ShareAnswer> RedisShare::exchange(const quota::ShareBatch& batch) {
  const std::size_t parts = parts_of(batch);
  if (parts > kPartsMax) return fail(Errc::internal, "more meters than one exchange can carry");
  if (auto ready = connect(); !ready) return std::unexpected(ready.error());
  const std::string new_token = base::random_token(9);
  for (std::size_t part = 0; part < parts; ++part) send_part(batch, part, new_token);
  quota::ShareAnswer answer;
  answer.sums.reserve(batch.uses.size());
  Life heard;
  const base::WallMicros begun = options_.clock->wall();
  for (std::size_t part = 0; part < parts; ++part) {
    auto one = reply();
    if (!one) return std::unexpected(one.error());
    if (auto read = read_part(**one, part, batch, answer); !read) {
      connection_.reset();
      return std::unexpected(read.error());
    }
    heard = {std::string(text_of(*(*one)->element[0])), (*one)->element[1]->integer};
    if (part == 0) compare_clocks(begun, (*one)->element[4]->integer * 1000);
  }
  answer.fresh = heard.token != life_.token;
  life_ = std::move(heard);
  return answer;
}

// Windows and periods are named by each gateway's own clock.
void RedisShare::compare_clocks(base::WallMicros begun, base::WallMicros theirs) {
  const base::WallMicros ended = options_.clock->wall();
  const base::WallMicros off = theirs < begun ? begun - theirs : std::max<base::WallMicros>(theirs - ended, 0);
  const bool apart = off > kClocksApart;
  if (apart && !clocks_apart_) {
    obs::log(obs::Level::warn,
             "this clock and that of the store that gateways share limits through differ: where windows and periods "
             "begin, gateways do not count together; set the clocks of all gateways by NTP",
             {{"store", options_.address.place()}, {"ms", std::to_string(off / 1000)}});
  }
  clocks_apart_ = apart;
}

Result<void> RedisShare::put(std::span<const quota::SharedRecord> records) {
  if (auto ready = connect(); !ready) return ready;
  std::vector<std::string> words{"EVALSHA", put_sha_, "3", key("records"), key("changes"), key("revision")};
  for (const quota::SharedRecord& record : records) {
    words.push_back(record.id);
    words.push_back(to_value(record));
  }
  connection_->send({words.begin(), words.end()});
  auto answer = reply();
  return answer ? Result<void>() : std::unexpected(answer.error());
}

Result<quota::SharedRecords> RedisShare::changes(std::int64_t since, std::size_t most) {
  if (auto ready = connect(); !ready) return std::unexpected(ready.error());
  const std::string from = std::to_string(since), count = std::to_string(most);
  const std::string records = key("records"), order = key("changes");
  connection_->send({"EVALSHA", changes_sha_, "2", records, order, from, count});
  auto answer = reply();
  if (!answer) return std::unexpected(answer.error());
  if (!is_array(**answer, 0)) return odd_answer();
  quota::SharedRecords found{{}, since};
  for (std::size_t i = 0; i + 2 < (*answer)->elements; i += 3) {
    found.revision = (*answer)->element[i]->integer;
    // One that cannot be read is left out; its revision counts, so that it is not asked for again and again.
    auto record = to_record(text_of(*(*answer)->element[i + 1]), text_of(*(*answer)->element[i + 2]));
    if (record) found.records.push_back(std::move(*record));
  }
  return found;
}

Result<std::string> RedisShare::first(std::string_view name, std::string_view mine) {
  if (auto ready = connect(); !ready) return std::unexpected(ready.error());
  const std::string at = key(fmt::format("first:{}", name));
  connection_->send({"SET", at, mine, "NX"});
  connection_->send({"GET", at});
  if (auto set = reply(); !set) return std::unexpected(set.error());
  auto got = reply();
  if (!got) return std::unexpected(got.error());
  return std::string(text_of(**got));
}

void RedisShare::leave() {
  if (!connection_) return;
  const std::string at = key("gateways");
  connection_->send({"ZREM", at, options_.gateway});
  (void)connection_->reply();
  connection_.reset();
}

namespace {

bool is_prefix(std::string_view text) {
  return !text.empty() && text.size() <= 64 && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("-_.:").find(c) != std::string_view::npos;
  });
}

// One name for the whole life of the process: what it told is known by it.
const std::string& gateway_name() {
  static const std::string name = base::random_token(9);
  return name;
}

}  // namespace

quota::ShareParts parse_redis_share(config::Map& map) {
  RedisShareOptions options;
  const std::string url(map.secret("redis").reveal());
  auto address = parse_redis_address(url);
  if (!address) map.get("redis").problem(address.error().detail);
  if (address) options.address = std::move(*address);
  if (map.has("user")) options.address.user = map.text("user");
  if (map.has("password")) options.address.password = map.secret("password");
  if (!options.address.user.empty() && options.address.password.empty())
    map.get("user").problem("a user needs a `password`");
  options.prefix = map.text("prefix", options.prefix);
  if (!is_prefix(options.prefix)) map.get("prefix").problem("up to 64 letters, digits and - _ . : are possible");
  options.timeout = map.duration("timeout", options.timeout);
  if (options.timeout < 10ms || options.timeout > 10s) map.get("timeout").problem("from 10ms to 10s is possible");
  options.gateway = gateway_name();
  if (!address) return {};
  quota::ShareParts parts;
  parts.place = options.address.place();
  parts.open = [options] { return std::make_unique<RedisShare>(options); };
  return parts;
}

}  // namespace penstock::ext
