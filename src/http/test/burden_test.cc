#include "http/burden.h"

#include <gtest/gtest.h>

namespace penstock::http {
namespace {

TEST(Burden, KeepsSparePlacesBeyondTheLimitAndThenHasNone) {
  Burden burden(2, {.connections = 3, .connections_per_client = 1000});
  for (int i = 0; i < 3; ++i) EXPECT_EQ(burden.enter(i % 2, 7), Burden::Place::regular) << i;
  for (std::size_t i = 0; i < Burden::kSpareConnections; ++i) EXPECT_EQ(burden.enter(0, 7), Burden::Place::spare) << i;
  EXPECT_EQ(burden.enter(1, 7), Burden::Place::none);
  EXPECT_EQ(burden.refused(Burden::Refused::connections), 1U);
  burden.leave(1, 7);
  EXPECT_EQ(burden.enter(1, 7), Burden::Place::spare);
}

TEST(Burden, BoundsTheConnectionsOfOneClientOnAllCores) {
  Burden burden(2, {.connections = 100, .connections_per_client = 2});
  EXPECT_EQ(burden.enter(0, 7), Burden::Place::regular);
  EXPECT_EQ(burden.enter(1, 7), Burden::Place::regular);
  EXPECT_EQ(burden.enter(0, 7), Burden::Place::none);
  EXPECT_EQ(burden.enter(0, 8), Burden::Place::regular) << "somebody else";
  EXPECT_EQ(burden.refused(Burden::Refused::client), 1U);
  burden.leave(1, 7);
  EXPECT_EQ(burden.enter(0, 7), Burden::Place::regular);
}

TEST(Burden, LocalSocketsShareOnlyTheLimitOfAll) {
  Burden burden(1, {.connections = 3, .connections_per_client = 1});
  for (int i = 0; i < 3; ++i) EXPECT_EQ(burden.enter(0, 0), Burden::Place::regular);
}

TEST(Burden, CountsTheClientThatAProxyNames) {
  Burden burden(1, {.connections = 10, .connections_per_client = 1});
  EXPECT_EQ(burden.enter(0, 0), Burden::Place::regular);
  EXPECT_EQ(burden.enter(0, 0), Burden::Place::regular) << "the proxy itself is not counted";
  EXPECT_TRUE(burden.name_client(0, 7));
  EXPECT_FALSE(burden.name_client(0, 7));
  burden.leave(0, 7);
  EXPECT_TRUE(burden.name_client(0, 7));
}

TEST(Burden, KnowsWhatIsHeldOnAllCores) {
  Burden burden(2, {.buffered_bytes = 1000});
  burden.buffer(0, 600);
  burden.buffer(1, 300);
  EXPECT_EQ(burden.buffered_bytes(), 900U);
  EXPECT_TRUE(burden.has_room(100));
  EXPECT_FALSE(burden.has_room(101));
  burden.buffer(0, -600);
  EXPECT_TRUE(burden.has_room(700));
}

TEST(Burden, TakesNewLimitsWhileItRuns) {
  Burden burden(1, {.connections = 1});
  burden.set_limits({.connections = 2});
  EXPECT_EQ(burden.enter(0, 1), Burden::Place::regular);
  EXPECT_EQ(burden.enter(0, 2), Burden::Place::regular);
  EXPECT_EQ(burden.enter(0, 3), Burden::Place::spare);
}

}  // namespace
}  // namespace penstock::http
