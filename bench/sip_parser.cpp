// rooms: sip base
// Messages per core-second: INVITEs of 800 bytes and more, everything a call needs read out of each and
// checksummed, beside what a plain line splitter does with the same bytes.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <vector>

#include "base/hash.h"
#include "base/rng.h"
#include "sip/message.h"

namespace {

using namespace tandem;

constexpr size_t message_count = 96;
constexpr size_t least_bytes = 800;
constexpr size_t least_headers = 12;

/// INVITEs as phones, trunks and WebRTC gateways send them; no two alike.
std::string make_invite(SeededRng& rng, size_t i) {
  const std::string user =
      i % 3 == 0 ? "+4930" + std::to_string(1000000 + rng.below(9000000)) : "u" + rng.token(1 + i % 11);
  const std::string host = i % 4 == 0   ? "198.51.100." + std::to_string(1 + rng.below(250))
                           : i % 4 == 1 ? "[2001:db8::" + std::to_string(1 + rng.below(999)) + "]"
                                        : "sip" + std::to_string(i) + ".example.net";
  const bool compact = i % 5 == 0;
  const bool folded = i % 7 == 0;
  const std::string transport = i % 2 ? "UDP" : "TLS";
  std::string s = "INVITE sip:" + user + "@" + host + (i % 2 ? ":5062" : "") +
                  ";transport=" + (i % 2 ? "udp" : "tcp") + " SIP/2.0\r\n";
  s += (compact ? "v: " : "Via: ") + ("SIP/2.0/" + transport) + " 192.0.2." + std::to_string(i + 1) +
       ":5060;rport;branch=z9hG4bK" + rng.token(20) + "\r\n";
  if (i % 3 == 1)
    s += "Via: SIP/2.0/UDP edge.example.org;branch=z9hG4bK" + rng.token(12) + ";received=203.0.113.9\r\n";
  s += "Max-Forwards: " + std::to_string(60 + i % 10) + "\r\n";
  if (i % 4 == 2)
    s += "Record-Route: <sip:edge.example.org;lr;ftag=" + rng.token(8) +
         ">,\r\n <sip:203.0.113.9:5061;lr>\r\n";
  s += (compact ? "f: " : "From: ") +
       ("\"Caller " + rng.token(6) + "\" <sip:" + user + "@example.org>;tag=") + rng.token(10) + "\r\n";
  s += std::string(compact ? "t: " : "To: ") + (folded ? "\r\n  " : "") + "<sip:" + user + "@" + host + ">" +
       (i % 6 == 0 ? ";tag=" + rng.token(8) : "") + "\r\n";
  s += (compact ? "i: " : "Call-ID: ") + rng.token(24) + "@192.0.2." + std::to_string(i + 1) + "\r\n";
  s += "CSeq: " + std::to_string(1 + rng.below(100000)) + " INVITE\r\n";
  s += (compact ? "m: " : "Contact: ") + ("<sip:" + user + "@192.0.2.") + std::to_string(i + 1) +
       ":5060;ob>;+sip.instance=\"<urn:uuid:" + rng.token(8) + "-0000-4000-8000-" + rng.token(12) + ">\"\r\n";
  s += "Allow: INVITE, ACK, BYE, CANCEL, OPTIONS, PRACK, UPDATE, INFO, MESSAGE, REFER, SUBSCRIBE, NOTIFY\r\n";
  s += "Supported: replaces, 100rel, timer, norefersub, gruu, outbound\r\n";
  s += "Session-Expires: 1800;refresher=uac\r\nMin-SE: 90\r\n";
  s += "User-Agent: Phone " + std::to_string(i) + "." + rng.token(4) + " (bench)\r\n";
  if (i % 2) s += "P-Asserted-Identity: <sip:" + user + "@example.org>\r\n";
  if (i % 5 == 3) s += "X-Account-Code: " + rng.token(16) + "\r\n";
  std::string sdp = "v=0\r\no=- " + std::to_string(rng.below(1000000000)) +
                    " 1 IN IP4 192.0.2.4\r\ns=-\r\nc=IN IP4 192.0.2.4\r\n" + "t=0 0\r\nm=audio " +
                    std::to_string(10000 + 2 * i) + " RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\n" +
                    "a=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\na=sendrecv\r\n";
  while (s.size() + sdp.size() + 60 < least_bytes) sdp += "a=note:" + rng.token(20) + "\r\n";
  s += (compact ? "c: application/sdp\r\nl: " : "Content-Type: application/sdp\r\nContent-Length: ") +
       std::to_string(sdp.size()) + "\r\n\r\n";
  return s + sdp;
}

/// Each extracted field changes the sum, so that none can be left out.
class Checksum {
 public:
  void add(std::string_view field) {
    sum_ = sum_ * 0x100000001b3ULL + field.size();
    if (!field.empty())
      sum_ ^= static_cast<uint64_t>(static_cast<uint8_t>(field.front())) << 8 |
              static_cast<uint8_t>(field.back());
  }
  void add(uint64_t n) { sum_ = sum_ * 0x100000001b3ULL + n; }
  uint64_t value() const { return sum_; }

 private:
  uint64_t sum_ = 0xcbf29ce484222325ULL;
};

void extract(const sip::Message& m, Checksum& sum) {
  sum.add(static_cast<uint64_t>(m.method()));
  sum.add(m.call_id());
  sum.add(m.cseq().number);
  sum.add(m.top_via().branch);
  sum.add(m.from_tag());
  sum.add(m.to_tag());
  const auto uri = m.parsed_request_uri();
  if (uri) {
    sum.add(uri->user);
    sum.add(uri->host);
  }
  const auto contact = m.contact();
  if (contact) {
    sum.add(contact->uri.user);
    sum.add(contact->uri.host);
  }
  sum.add(m.header(sip::HeaderId::content_length).value_or(""));
  sum.add(m.body().size());
}

/// The least any parser does: find each line and its colon.
void split(std::string_view text, Checksum& sum) {
  for (;;) {
    const size_t end = text.find("\r\n");
    if (end == std::string_view::npos || end == 0) return;
    const std::string_view line = text.substr(0, end);
    const size_t colon = line.find(':');
    sum.add(line.substr(0, colon));
    sum.add(line.substr(colon == std::string_view::npos ? line.size() : colon + 1));
    text.remove_prefix(end + 2);
  }
}

double cpu_seconds() {
  timespec t{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

/// Messages per CPU second of `pass`, the best of several runs of about half a second (a shared machine only
/// slows down).
template <class F>
double rate(F&& pass) {
  double best = 0;
  for (int run = 0; run < 5; ++run) {
    const double start = cpu_seconds();
    double used = 0;
    size_t rounds = 0;
    while (used < 0.5) {
      for (int i = 0; i < 200; ++i) pass();
      rounds += 200;
      used = cpu_seconds() - start;
    }
    best = std::max(best, static_cast<double>(rounds * message_count) / used);
  }
  return best;
}

}  // namespace

int main() {
  SeededRng rng(20260101);
  std::vector<Buffer> messages;
  size_t bytes = 0, headers = 0;
  for (size_t i = 0; i < message_count; ++i) {
    Buffer b = Buffer::with_capacity(2048);
    b.append(make_invite(rng, i));
    auto m = sip::Message::parse(b.clone());
    if (!m || b.size() < least_bytes || m->headers().size() < least_headers || !m->parsed_request_uri() ||
        !m->contact()) {
      std::fprintf(stderr, "message %zu is not fit for the benchmark\n%s\n", i,
                   std::string(b.text()).c_str());
      return 1;
    }
    bytes += b.size();
    headers += m->headers().size();
    messages.push_back(std::move(b));
  }
  Checksum once;
  const auto parse_all = [&](Checksum& sum) {
    for (Buffer& b : messages) {
      auto m = sip::Message::parse(std::move(b));
      if (!m) std::abort();
      extract(*m, sum);
      b = std::move(*m).take();
    }
  };
  parse_all(once);
  uint64_t mixed = 0;
  const double parser = rate([&] {
    Checksum sum;
    parse_all(sum);
    if (sum.value() != once.value()) std::abort();
    mixed ^= sum.value();
  });
  const double splitter = rate([&] {
    Checksum sum;
    for (const Buffer& b : messages) split(b.text(), sum);
    mixed += sum.value();
  });
  std::printf("%zu INVITEs, %zu bytes and %.1f headers on average, checksum %016llx (%llx)\n", message_count,
              bytes / message_count, static_cast<double>(headers) / message_count,
              static_cast<unsigned long long>(once.value()), static_cast<unsigned long long>(mixed & 0xff));
  std::printf("parser: %.0f msg/s, line splitter: %.0f msg/s, ratio %.2f\n", parser, splitter,
              parser / splitter);
  return 0;
}
