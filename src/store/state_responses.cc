// The table of responses.
#include "store/state.h"

namespace penstock::store {

Result<void> State::add_response(const StoredResponse& response, base::WallMicros now) {
  auto insert = database_.prepare(
      "INSERT INTO responses VALUES (?1,?2,?3,?4,?5,?6,?7,?8) "
      "ON CONFLICT(id) DO UPDATE SET provider=excluded.provider, previous=excluded.previous, used=excluded.used, "
      "bytes=excluded.bytes, input=excluded.input, body=excluded.body WHERE key=excluded.key");
  if (!insert) return std::unexpected(insert.error());
  insert->bind(1, response.id).bind(2, response.key).bind(3, response.provider).bind(4, response.previous);
  insert->bind(5, now).bind(6, static_cast<std::int64_t>(response.input.size() + response.body.size()));
  insert->bind(7, response.input).bind(8, response.body);
  if (response.previous.empty()) return insert->run();
  auto touch = database_.prepare(
      "WITH RECURSIVE earlier(id) AS (VALUES (?1) UNION SELECT previous FROM responses JOIN earlier USING (id)) "
      "UPDATE responses SET used=?2 WHERE id IN earlier AND key=?3");
  if (!touch) return std::unexpected(touch.error());
  touch->bind(1, response.previous).bind(2, now).bind(3, response.key);
  return database_.transaction([&]() -> Result<void> {
    if (auto inserted = insert->run(); !inserted) return inserted;
    return touch->run();
  });
}

Result<std::optional<StoredResponse>> State::response(std::string_view id, std::string_view key,
                                                      base::WallMicros unused_since) {
  auto select =
      database_.prepare("SELECT id,key,provider,previous,input,body FROM responses WHERE id=? AND key=? AND used>=?");
  if (!select) return std::unexpected(select.error());
  auto row = select->bind(1, id).bind(2, key).bind(3, unused_since).step();
  if (!row) return std::unexpected(row.error());
  if (!*row) return std::nullopt;
  return StoredResponse{select->text(0), select->text(1), select->text(2),
                        select->text(3), select->text(4), select->text(5)};
}

Result<bool> State::remove_response(std::string_view id, std::string_view key) {
  auto remove = database_.prepare("DELETE FROM responses WHERE id=? AND key=? RETURNING 1");
  if (!remove) return std::unexpected(remove.error());
  auto row = remove->bind(1, id).bind(2, key).step();
  if (!row || !*row) return row;
  // Only a statement that ran to its end is committed.
  if (auto ended = remove->run(); !ended) return std::unexpected(ended.error());
  return true;
}

Result<std::int64_t> State::trim_responses(const ResponseBounds& bounds) {
  // Newest first: whatever is behind the bounds in number or in bytes goes, and whatever is too old anyway.
  auto remove = database_.prepare(
      "DELETE FROM responses WHERE used<?1 OR rowid IN (SELECT id FROM (SELECT rowid AS id, "
      "row_number() OVER newest AS place, sum(bytes) OVER newest AS total FROM responses "
      "WINDOW newest AS (ORDER BY used DESC, rowid DESC)) WHERE place>?2 OR total>?3) RETURNING 1");
  if (!remove) return std::unexpected(remove.error());
  remove->bind(1, bounds.unused_since).bind(2, bounds.count).bind(3, bounds.bytes);
  std::int64_t count = 0;
  while (true) {
    auto row = remove->step();
    if (!row) return std::unexpected(row.error());
    if (!*row) return count;
    ++count;
  }
}

}  // namespace penstock::store
