#include "app/piece_queue.h"

#include <gtest/gtest.h>

#include <thread>

#include "rt/cores.h"

namespace penstock::app {
namespace {

struct PieceQueueTest : testing::Test {
  rt::Loop loop;
  std::shared_ptr<PieceQueue> queue = std::make_shared<PieceQueue>(loop);
  std::string got;
  std::optional<Error> error;

  // Takes at most `most` pieces.
  rt::Task<void> take(int most) {
    for (int i = 0; i < most; ++i) {
      auto piece = co_await queue->next();
      if (!piece) error = piece.error();
      if (!piece || piece->empty()) co_return;
      got += *piece;
    }
    queue->close();
  }
  void run(int most) {
    rt::spawn(take(most), [this] { loop.stop(); });
    loop.run();
  }
};

TEST_F(PieceQueueTest, GivesPiecesInOrderAndTheEnd) {
  std::string wanted;
  for (int i = 0; i < 1000; ++i) wanted += std::to_string(i) + ",";
  std::thread maker([&] {
    for (int i = 0; i < 1000; ++i) EXPECT_TRUE(queue->put(std::to_string(i) + ","));
    EXPECT_TRUE(queue->put(""));
    queue->end({});
  });
  run(10'000);
  maker.join();
  EXPECT_EQ(got, wanted);
  EXPECT_FALSE(error);
}

TEST_F(PieceQueueTest, TellsWhyTheMakerFailed) {
  std::thread maker([&] {
    queue->put("begun");
    queue->end(fail(Errc::data_loss, "the disk"));
  });
  run(10'000);
  maker.join();
  EXPECT_EQ(got, "begun");
  ASSERT_TRUE(error);
  EXPECT_EQ(error->detail, "the disk");
}

TEST_F(PieceQueueTest, AMakerThatIsAheadWaitsAndHearsThatNobodyWantsMore) {
  std::atomic<int> put{0};
  std::thread maker([&] {
    while (queue->put("x")) put.fetch_add(1);
    queue->end({});
  });
  run(3);
  maker.join();
  EXPECT_EQ(got, "xxx");
  EXPECT_LE(put.load(), 3 + static_cast<int>(PieceQueue::kPiecesMax));
}

}  // namespace
}  // namespace penstock::app
