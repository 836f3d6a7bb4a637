#include "src/commands/command_table.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "src/protocol/text_reply.h"

namespace terraced::server {
namespace {

TEST(CommandTableTest, EveryWordIsFoundOnceAndInLowerCase) {
  std::set<std::string_view> words;
  for (const CommandSpec& command : Commands()) {
    EXPECT_TRUE(words.insert(command.word).second) << command.word;
    EXPECT_EQ(FindCommand(command.word), &command);
    EXPECT_GE(command.word.size(), 2U) << "shorter lines are no commands";
    for (const char letter : command.word)
      EXPECT_TRUE(letter == '_' || (letter >= 'a' && letter <= 'z'));
  }
  EXPECT_EQ(FindCommand("GET"), nullptr);
  EXPECT_EQ(FindCommand(""), nullptr);
  for (const char* word :
       {"set",       "add",     "replace",     "append",        "prepend", "cas",      "get",
        "gets",      "gat",     "gats",        "delete",        "incr",    "decr",     "touch",
        "flush_all", "version", "verbosity",   "quit",          "stats",   "extstore", "shutdown",
        "lru",       "slabs",   "lru_crawler", "cache_memlimit"}) {
    EXPECT_NE(FindCommand(word), nullptr) << word;
  }
}

TEST(CommandTableTest, EveryRowSaysWhetherItMayOvertakeReads) {
  for (const CommandSpec& command : Commands()) {
    EXPECT_NE(command.Has(kReads), command.Has(kWrites)) << command.word;
    EXPECT_LE(command.tokens_min, command.tokens_max) << command.word;
    EXPECT_NE(command.handler, nullptr) << command.word;
    // Who stores, or takes an exptime in front of its keys, changes something.
    EXPECT_TRUE(!command.Has(kStores | kTakesExptime) || command.Has(kWrites)) << command.word;
  }
}

TEST(CommandTableTest, EveryReplyIsALine) {
  for (int i = 1; i < static_cast<int>(Reply::kCount); ++i) {
    EXPECT_TRUE(TextOf(static_cast<Reply>(i)).ends_with("\r\n")) << i;
  }
}

}  // namespace
}  // namespace terraced::server
