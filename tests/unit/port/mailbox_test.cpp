// Where the messages of a mailbox lie: never outside of its own folder, and no two mailboxes in one.
#include <gtest/gtest.h>

#include <set>

#include "port/records.h"
#include "port/sound.h"

namespace tandem::port {
namespace {

TEST(MailboxFolder, IsDomainAndUser) {
  EXPECT_EQ(mailbox_folder({"101", "example.com"}), "example.com/101");
  EXPECT_EQ(mailbox_folder({"o.brien+x", "[2001:db8::1]"}), "[2001:db8::1]/o.brien+x");
}

TEST(MailboxFolder, EscapesWhatLeadsOutOfIt) {
  EXPECT_EQ(mailbox_folder({"..", "a"}), "a/%2e.");
  EXPECT_EQ(mailbox_folder({"../../etc/x", "a"}), "a/%2e.%2f..%2fetc%2fx");
  EXPECT_EQ(mailbox_folder({"a\\b", "a"}), "a/a%5cb");
  EXPECT_EQ(mailbox_folder({std::string("a\0b\x7f", 4), "a"}), "a/a%00b%7f");
  EXPECT_EQ(mailbox_folder({"100%", "a"}), "a/100%25");
  EXPECT_EQ(mailbox_folder({"", ""}), "%/%");
}

TEST(MailboxFolder, IsASoundsNameOfItsOwnForAnyMailbox) {
  std::set<std::string> folders;
  const std::string users[] = {"",
                               ".",
                               "%",
                               "%2e",
                               "..",
                               "/",
                               "a/b",
                               "a%2fb",
                               "\x01",
                               "\n",
                               "\xff",
                               "\xc3",
                               "\\",
                               "~",
                               " ",
                               "Ä",
                               std::string(255, 'a'),
                               std::string(255, '/'),
                               std::string(254, 'a'),
                               std::string(254, 'a') + "b"};
  for (const std::string& user : users)
    for (const std::string& domain : users) {
      const std::string folder = mailbox_folder({user, domain});
      EXPECT_TRUE(is_sound_name(folder + "/2026-11-25/142233-abcdefghijkl.wav.part")) << folder;
      EXPECT_TRUE(folders.insert(folder).second) << folder;
    }
}

}  // namespace
}  // namespace tandem::port
