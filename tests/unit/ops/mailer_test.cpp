// E-mails about voice messages: what they say, and a program that is handed them.
#include "ops/mailer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "crypto/base64.h"
#include "ops/voicemail_mail.h"

namespace tandem::ops {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

VoicemailMail sample() {
  VoicemailMail mail;
  mail.from = "voicemail@example.com";
  mail.to = "ann@example.com";
  mail.message.mailbox = {"1001", "example.com"};
  mail.message.from = "+4930123";
  mail.message.from_display = "Bob";
  mail.message.received = WallTime{1'795'615'500'000'000'000};  // 2026-11-25 14:05:00 UTC
  mail.message.length = milliseconds(62'900);
  mail.offset = 9 * 3600;
  mail.token = "abc123";
  return mail;
}

std::string header_of(const std::string& mail) { return mail.substr(0, mail.find("\n\n")); }

TEST(VoicemailMail, SaysWhoWhenAndHowLong) {
  VoicemailMail mail = sample();
  mail.sound = std::string("RIFF\0\xff\n.\n", 9);
  const std::string text = to_mime(mail);
  EXPECT_EQ(header_of(text),
            "From: <voicemail@example.com>\n"
            "To: <ann@example.com>\n"
            "Date: Wed, 25 Nov 2026 23:05:00 +0900\n"
            "Message-ID: <abc123@example.com>\n"
            "Subject: Voice message from Bob (+4930123) (1:02)\n"
            "Auto-Submitted: auto-generated\n"
            "MIME-Version: 1.0\n"
            "Content-Type: multipart/mixed; boundary=\"=_abc123\"");
  EXPECT_THAT(text, HasSubstr("Content-Disposition: attachment; filename=\"message.wav\"\n\nUklGRgD/Ci4K\n"));
  EXPECT_TRUE(text.ends_with("--=_abc123--\n"));
  mail.sound.reset();
  mail.message.from.clear();
  mail.message.from_display.clear();
  mail.offset = -(3 * 3600 + 1800);
  EXPECT_THAT(to_mime(mail), HasSubstr("10:35:00 -0330\n"));
  EXPECT_THAT(to_mime(mail), HasSubstr("Subject: Voice message from a withheld number (1:02)\n"));
  EXPECT_THAT(to_mime(mail), Not(HasSubstr("audio/wav")));
}

/// Who calls writes the name that is shown: it stays within its field.
TEST(VoicemailMail, NoNameMakesAHeaderOfItsOwn) {
  VoicemailMail mail = sample();
  const size_t fields = 8;
  for (const char* name : {"Bob\r\nBcc: eve@example.net", "Bob\n\nbody", "=?UTF-8?B?DQpCY2M6IGV2ZQ==?=",
                           "\xff\xfe\r", "\xeb\xb0\x95\xec\xa7\x80\xec\x98\x81\nBcc: x"}) {
    mail.message.from_display = name;
    const std::string header = header_of(to_mime(mail));
    size_t lines = 0;
    std::istringstream in(header);
    for (std::string line; std::getline(in, line);) {
      lines += line.front() != ' ';
      EXPECT_FALSE(line.starts_with("Bcc")) << header;
      EXPECT_LE(line.size(), 100U);
    }
    EXPECT_EQ(lines, fields) << header;
    EXPECT_THAT(header, Not(HasSubstr("=?UTF-8?B?DQpCY2M6")));
  }
}

TEST(VoicemailMail, OtherLettersAreEncodedWords) {
  EXPECT_EQ(header_text("plain (1:02)"), "plain (1:02)");
  EXPECT_EQ(header_text("Bob\r\nBcc: x\x7f\t"), "BobBcc: x");
  EXPECT_EQ(header_text("Jürgen"), "=?UTF-8?B?SsO8cmdlbg==?=");
  std::string name;
  for (int i = 0; i < 40; ++i) name += "박";
  std::istringstream in(header_text(name));
  std::string decoded;
  for (std::string line; std::getline(in, line);) {
    if (line.front() == ' ') line.erase(0, 1);
    ASSERT_LE(line.size(), 75U);
    ASSERT_TRUE(line.starts_with("=?UTF-8?B?") && line.ends_with("?=")) << line;
    const auto bytes = crypto::base64_decode(line.substr(10, line.size() - 12));
    ASSERT_TRUE(bytes.has_value());
    EXPECT_EQ(bytes->size() % 3, 0U) << "no character is parted";
    decoded += *bytes;
  }
  EXPECT_EQ(decoded, name);
}

// ---- the program

class MailerTest : public ::testing::Test {
 protected:
  MailerTest() {
    char path[] = "/tmp/tandem-mailer-XXXXXX";
    folder = ::mkdtemp(path);
  }
  ~MailerTest() override { std::filesystem::remove_all(folder); }
  /// A script as the program; $OUT is a file of the test's.
  std::vector<std::string> script(const std::string& text) {
    const std::string path = folder + "/program";
    std::ofstream(path) << "#!/bin/sh\nOUT='" << folder << "/out'\n" << text << '\n';
    ::chmod(path.c_str(), 0700);
    return {path, "-t", "a b; $(touch " + folder + "/shell)"};
  }
  std::string out() const {
    std::stringstream text;
    text << std::ifstream(folder + "/out").rdbuf();
    return text.str();
  }
  void put(const std::string& text) {
    mailer->put({"1001@example.com", [text] { return text; },
                 [this] {
                   const std::lock_guard lock(mutex);
                   ++sent;
                   wake.notify_one();
                 }});
  }
  void start(MailerOptions options) {
    mailer.emplace(std::move(options), counters, [this](const port::Event& e) {
      const std::lock_guard lock(mutex);
      events.emplace_back(e.name);
      wake.notify_one();
    });
    mailer->start();
  }
  template <class F>
  void wait(F until) {
    std::unique_lock lock(mutex);
    EXPECT_TRUE(wake.wait_for(lock, std::chrono::seconds(20), until));
  }

  std::string folder;
  CounterSet counters;
  std::mutex mutex;
  std::condition_variable wake;
  int sent = 0;
  std::vector<std::string> events;
  std::optional<Mailer> mailer;
};

TEST_F(MailerTest, TheProgramGetsTheMailAndItsArgumentsAsTheyAre) {
  ::setenv("TANDEM_TOKEN", "secret", 1);
  start({.program = script("cat > \"$OUT\"; echo \"[$1][$2][$TANDEM_TOKEN]\" >> \"$OUT\"")});
  const std::string big(3'000'000, 'x');  // more than a pipe holds
  put(big + "\n");
  wait([&] { return sent == 1; });
  mailer->stop();
  EXPECT_EQ(out(), big + "\n[-t][a b; $(touch " + folder + "/shell)][]\n");
  EXPECT_FALSE(std::filesystem::exists(folder + "/shell"));
  EXPECT_EQ(counters.total("voicemail_mails_total"), 1U);
}

TEST_F(MailerTest, WhatIsRefusedIsTriedAgain) {
  start({.program = script("[ -e \"$OUT\" ] && cat > \"$OUT\" && exit 0; touch \"$OUT\"; exit 75"),
         .retry = milliseconds(10)});
  put("hello");
  wait([&] { return sent == 1; });
  mailer->stop();
  EXPECT_EQ(out(), "hello");
  EXPECT_EQ(events, std::vector<std::string>{"voicemail.mail_refused"});
  EXPECT_EQ(counters.total("voicemail_mail_retries_total"), 1U);
}

TEST_F(MailerTest, AfterTheLastAttemptItIsGivenUp) {
  MailerOptions options{.program = {"/nonexistent/sendmail"}, .attempts = 2, .retry = milliseconds(10)};
  start(options);
  put("hello");
  wait([&] { return events.size() == 2; });
  mailer->stop();
  EXPECT_EQ(events.back(), "voicemail.mail_failed");
  EXPECT_EQ(sent, 0);
  EXPECT_EQ(counters.total("voicemail_mails_total"), 1U);
}

/// Running, as far as the kernel says: what has ended may wait to be reaped.
bool runs(const std::string& pid) {
  std::string line;
  std::getline(std::ifstream("/proc/" + pid + "/stat"), line);
  return !line.empty() && line.find(") Z") == std::string::npos;
}

TEST_F(MailerTest, AProgramThatNeverEndsIsKilledWithItsChildren) {
  start({.program = script("sleep 1000 & echo $! > \"$OUT\"; sleep 1000"),
         .timeout = seconds(3),
         .attempts = 1});
  put("hello");
  wait([&] { return !events.empty(); });
  EXPECT_EQ(events.back(), "voicemail.mail_failed");
  std::string child = out();
  ASSERT_GT(child.size(), 1U);
  child.pop_back();
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (runs(child) && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  EXPECT_FALSE(runs(child));
}

TEST_F(MailerTest, StoppingDoesNotWaitForAProgram) {
  start({.program = script("touch \"$OUT\"; sleep 1000"), .timeout = minutes(5), .max_queued = 2});
  put("first");
  while (!std::filesystem::exists(folder + "/out")) std::this_thread::yield();
  put("second");
  put("third");
  EXPECT_FALSE(mailer->put({"x", [] { return std::string(); }, {}})) << "two wait";
  const auto before = std::chrono::steady_clock::now();
  mailer->stop();
  EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(5));
  EXPECT_EQ(counters.total("voicemail_mails_total"), 4U) << "all are accounted for";
}

}  // namespace
}  // namespace tandem::ops
