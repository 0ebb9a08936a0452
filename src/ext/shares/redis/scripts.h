// What runs inside Redis, in one piece each: Lua 5.1 as Redis 6 and newer and Valkey have it.
#pragma once

#include <string_view>

namespace penstock::ext {

// KEYS: the store's life, the gateways alive, the last number of this gateway, the records' revision; then the meters.
// ARGV: gateway, number, token and turns of the life as last heard, a token for a new life; then for each meter what to
// add, the sum as this gateway knows it, and for how long to keep it in milliseconds.
// Answers token, turns, gateways alive, revision, time in milliseconds since 1970; then the sums.
//
// Sums only grow: one that is smaller than a gateway knows it has lost something (a restart without persistence, a
// replica that took over and was behind) and is put back. A life ends when data is lost, or there are fewer turns than
// a gateway has seen: in a new one the gateways put back their records. Numbers are doubles here: sums are exact up to
// 2^53, and stay there.
inline constexpr std::string_view kExchangeScript = R"lua(
local gateway, number, seen, turns_seen = ARGV[1], tonumber(ARGV[2]), ARGV[3], tonumber(ARGV[4])
local life = redis.call('HMGET', KEYS[1], 'token', 'turns')
local token, turns = life[1], tonumber(life[2]) or 0
if not token or (token == seen and turns < turns_seen) then token = ARGV[5] end
turns = math.max(turns, turns_seen) + 1
redis.call('HSET', KEYS[1], 'token', token, 'turns', string.format('%.0f', turns))

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
redis.call('ZADD', KEYS[2], string.format('%.0f', now), gateway)
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', string.format('%.0f', now - 5000))

local counts = number > (tonumber(redis.call('GET', KEYS[3])) or 0)
if counts then redis.call('SET', KEYS[3], ARGV[2], 'PX', '604800000') end

local answer = {token, turns, redis.call('ZCARD', KEYS[2]), tonumber(redis.call('GET', KEYS[4])) or 0, now}
for i = 5, #KEYS do
  local at = 6 + (i - 5) * 3
  local add, known = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
  local had = tonumber(redis.call('GET', KEYS[i]))
  local sum = math.max(had or 0, known)
  if counts then sum = sum + add end
  sum = math.max(-9007199254740992, math.min(9007199254740992, sum))
  if sum ~= (had or 0) then
    redis.call('SET', KEYS[i], string.format('%.0f', sum), 'PX', ARGV[at + 2])
  end
  answer[#answer + 1] = sum
end
return answer
)lua";

// KEYS: records, their order, their revision. ARGV: id and value of each. A value begins with 21 digits: whether it is
// final, and when it was changed; the larger ones stay. Keys of Redis may get lost one by one (an eviction, a hand):
// the revision goes on after the highest of the order, and a record that is not in the order comes in again.
inline constexpr std::string_view kPutScript = R"lua(
local last = tonumber(redis.call('ZREVRANGE', KEYS[2], '0', '0', 'WITHSCORES')[2]) or 0
if last > (tonumber(redis.call('GET', KEYS[3])) or 0) then
  redis.call('SET', KEYS[3], string.format('%.0f', last))
end
for i = 1, #ARGV, 2 do
  local old = redis.call('HGET', KEYS[1], ARGV[i])
  local newer = not old or string.sub(ARGV[i + 1], 1, 21) > string.sub(old, 1, 21)
  if newer then redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
  if newer or not redis.call('ZSCORE', KEYS[2], ARGV[i]) then
    redis.call('ZADD', KEYS[2], redis.call('INCR', KEYS[3]), ARGV[i])
  end
end
return 1
)lua";

// KEYS: records, their order. ARGV: the revision after which, at most how many. Answers revision, id and value of each.
inline constexpr std::string_view kChangesScript = R"lua(
local found = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. ARGV[1], '+inf', 'WITHSCORES', 'LIMIT', '0', ARGV[2])
local answer = {}
for i = 1, #found, 2 do
  answer[#answer + 1] = tonumber(found[i + 1])
  answer[#answer + 1] = found[i]
  answer[#answer + 1] = redis.call('HGET', KEYS[1], found[i]) or ''
end
return answer
)lua";

}  // namespace penstock::ext
