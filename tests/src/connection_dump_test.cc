// A dump of keys on a connection: asked for piece by piece, as fast as the client reads.
#include <string>

#include "tests/src/connection_rig.h"

namespace terraced::server {
namespace {

class ConnectionDumpTest : public ConnectionRig {
 protected:
  static tiering::DumpPiece PieceOf(char key, size_t items, bool last) {
    tiering::DumpPiece piece;
    piece.keys.assign(1, key);
    piece.items.assign(items, tiering::DumpedItem{.key_bytes = 1});
    piece.last = last;
    return piece;
  }
  void Answer(const tiering::DumpPiece& piece) {
    connection_->AddDumpPiece(piece);
    connection_->FlushReplies();
  }
};

TEST_F(ConnectionDumpTest, EndsAtOnceWhereThereIsNothingToList) {
  EXPECT_EQ(Ask("lru_crawler metadump all\r\nversion\r\n"), "END\r\nVERSION 1.6.18\r\n");
  EXPECT_EQ(host_.dump_asks, 1);
  EXPECT_FALSE(host_.cache.Admin().Dumping());
}

TEST_F(ConnectionDumpTest, WhatFollowsWaitsForItsEnd) {
  host_.hold_dumps = true;
  EXPECT_EQ(Ask("version\r\nlru_crawler metadump all\r\nget k\r\n"), "VERSION 1.6.18\r\n");
  EXPECT_FALSE(connection_->IsIdle());
  Answer(PieceOf('a', 0, false));
  EXPECT_EQ(host_.dump_asks, 2);
  Answer(PieceOf('b', 1, false));
  const std::string line = "key=b exp=-1 la=0 cas=0 fetch=no cls=0 size=0\n";
  EXPECT_EQ(Receive(), line);
  Answer(PieceOf('c', 0, true));
  EXPECT_EQ(Receive(), "END\r\nEND\r\n");
  EXPECT_EQ(host_.dump_asks, 3);
  EXPECT_TRUE(connection_->IsIdle());
}

TEST_F(ConnectionDumpTest, AClientThatReadsNothingIsSentNoMore) {
  host_.hold_dumps = true;
  Ask("lru_crawler metadump all\r\n");
  for (int i = 0; i < 1'000 && host_.dump_asks > i; ++i) Answer(PieceOf('a', 1'000, false));
  const int asked = host_.dump_asks;
  EXPECT_LT(asked, 1'000);
  EXPECT_LT(connection_->UnsentBytes(), 200U << 10);
  Receive();
  connection_->OnWritable();
  EXPECT_EQ(host_.dump_asks, asked + 1);
}

TEST_F(ConnectionDumpTest, WaitsForWhatWasAskedBefore) {
  StoreOnFlash("k", "v");
  host_.hold_dumps = true;
  Send("get k\r\nlru_crawler metadump all\r\n");
  Answer(PieceOf('a', 0, true));
  EXPECT_EQ(Receive(), "");
  host_.Answer(0);
  EXPECT_EQ(Receive(), Value("k", "v") + "END\r\nEND\r\n");
}

}  // namespace
}  // namespace terraced::server
