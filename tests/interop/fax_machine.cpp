// Half a fax call for tests/interop/test_fax.py: spandsp's T.30 engine and modems on a UDP port, as sound in
// RTP (G.711) or as T.38 over UDPTL. Signalling is the script's. Writes one line of JSON when the call is
// over. `page` and `compare` make a page and hold two against each other.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <spandsp.h>
#include <sys/socket.h>
#include <tiffio.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <deque>
#include <optional>
#include <random>
#include <string>
#include <vector>

namespace {

constexpr int frame = 160;  // samples of 20 ms
constexpr uint32_t page_width = 1728;

// ---- pages -----------------------------------------------------------------------------------------------

/// A page of bars, a diagonal, and a strip of noise that no compression can make small: `lines` of 1728 dots.
int make_page(const std::string& file, uint32_t lines) {
  TIFF* tiff = TIFFOpen(file.c_str(), "w");
  if (!tiff) return 1;
  TIFFSetField(tiff, TIFFTAG_IMAGEWIDTH, page_width);
  TIFFSetField(tiff, TIFFTAG_IMAGELENGTH, lines);
  TIFFSetField(tiff, TIFFTAG_BITSPERSAMPLE, 1);
  TIFFSetField(tiff, TIFFTAG_SAMPLESPERPIXEL, 1);
  TIFFSetField(tiff, TIFFTAG_ROWSPERSTRIP, lines);
  TIFFSetField(tiff, TIFFTAG_COMPRESSION, COMPRESSION_CCITT_T6);
  TIFFSetField(tiff, TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_MINISWHITE);
  TIFFSetField(tiff, TIFFTAG_FILLORDER, FILLORDER_LSB2MSB);
  TIFFSetField(tiff, TIFFTAG_XRESOLUTION, 204.0);
  TIFFSetField(tiff, TIFFTAG_YRESOLUTION, 98.0);
  TIFFSetField(tiff, TIFFTAG_RESOLUTIONUNIT, RESUNIT_INCH);
  std::minstd_rand random(1);
  std::array<uint8_t, page_width / 8> line;
  for (uint32_t y = 0; y < lines; ++y) {
    line.fill(0);
    for (size_t x = 20; x < 100; ++x)
      if ((x / 5 + y / 16) % 2 == 0) line[x] = 0xFF;
    line[(y * 2) % line.size()] = 0x3C;
    for (size_t x = 150; x < 170; ++x) line[x] = static_cast<uint8_t>(random() & random());
    if (TIFFWriteScanline(tiff, line.data(), y, 0) < 0) return 1;
  }
  TIFFClose(tiff);
  return 0;
}

std::optional<std::vector<std::vector<uint8_t>>> read_page(const std::string& file) {
  TIFF* tiff = TIFFOpen(file.c_str(), "r");
  if (!tiff) return std::nullopt;
  uint32_t lines = 0;
  TIFFGetField(tiff, TIFFTAG_IMAGELENGTH, &lines);
  std::vector<std::vector<uint8_t>> page;
  std::vector<uint8_t> line(static_cast<size_t>(TIFFScanlineSize(tiff)));
  for (uint32_t y = 0; y < lines && TIFFReadScanline(tiff, line.data(), y, 0) >= 0; ++y) page.push_back(line);
  TIFFClose(tiff);
  return page;
}

/// {"lines": of the first, "received": of the second, "equal": that are the same in both}
int compare_pages(const std::string& sent, const std::string& received) {
  TIFFSetErrorHandler(nullptr);
  TIFFSetWarningHandler(nullptr);
  const auto a = read_page(sent);
  const auto b = read_page(received);
  if (!a) return 1;
  const size_t there = b ? b->size() : 0;
  size_t equal = 0;
  for (size_t i = 0; i < std::min(a->size(), there); ++i) equal += (*a)[i] == (*b)[i];
  std::printf("{\"lines\": %zu, \"received\": %zu, \"equal\": %zu}\n", a->size(), there, equal);
  return 0;
}

// ---- the wire --------------------------------------------------------------------------------------------

class Socket {
 public:
  explicit Socket(uint16_t local) : fd_(::socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0)) {
    sockaddr_in a{};
    a.sin_family = AF_INET;
    a.sin_port = htons(local);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    bound_ = fd_ >= 0 && ::bind(fd_, reinterpret_cast<sockaddr*>(&a), sizeof a) == 0;
  }
  ~Socket() { ::close(fd_); }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  bool bound() const { return bound_; }
  void aim(uint16_t port) {
    to_.sin_family = AF_INET;
    to_.sin_port = htons(port);
    to_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  }
  void send(const std::vector<uint8_t>& bytes) {
    ::sendto(fd_, bytes.data(), bytes.size(), 0, reinterpret_cast<sockaddr*>(&to_), sizeof to_);
  }
  std::optional<std::vector<uint8_t>> receive() {
    std::vector<uint8_t> bytes(2048);
    const ssize_t n = ::recv(fd_, bytes.data(), bytes.size(), 0);
    if (n < 0) return std::nullopt;
    bytes.resize(static_cast<size_t>(n));
    return bytes;
  }
  /// Until something came, or the time is over.
  void wait(int milliseconds) {
    pollfd p{fd_, POLLIN, 0};
    ::poll(&p, 1, std::max(0, milliseconds));
  }

 private:
  int fd_;
  bool bound_ = false;
  sockaddr_in to_{};
};

struct Options {
  bool calling = false;
  bool t38 = false;
  std::string file, law = "u";
  uint16_t local = 0, remote = 0;
  double loss = 0;  // of the packets this machine sends
  bool wrong_law = false;
  double seconds = 120;
};

void put16(std::vector<uint8_t>& out, uint32_t v) {
  out.push_back(static_cast<uint8_t>(v >> 8));
  out.push_back(static_cast<uint8_t>(v));
}

/// G.711 in RTP. What is missing of the other side's stream is told to the modem as such.
class Sound {
 public:
  Sound(const Options& o, Socket& socket) : o_(o), socket_(socket), state_(fax_init(nullptr, o.calling)) {
    fax_set_transmit_on_idle(state_, 1);
  }
  ~Sound() { fax_free(state_); }
  Sound(const Sound&) = delete;
  Sound& operator=(const Sound&) = delete;
  t30_state_t* t30() { return fax_get_t30_state(state_); }

  void take(const std::vector<uint8_t>& packet) {
    if (packet.size() <= 12) return;
    const auto sequence = static_cast<uint16_t>(packet[2] << 8 | packet[3]);
    if (started_) {
      const auto ahead = static_cast<int16_t>(sequence - next_);
      if (ahead < 0) return;
      for (int i = 0; i < std::min<int>(ahead, 50); ++i) fax_rx_fillin(state_, frame);
    }
    started_ = true;
    next_ = static_cast<uint16_t>(sequence + 1);
    std::vector<int16_t> samples;
    const bool a_law = (o_.law == "a") != o_.wrong_law;
    for (size_t i = 12; i < packet.size(); ++i)
      samples.push_back(a_law ? alaw_to_linear(packet[i]) : ulaw_to_linear(packet[i]));
    fax_rx(state_, samples.data(), static_cast<int>(samples.size()));
  }
  /// 20 ms are over.
  void tick() {
    std::array<int16_t, frame> samples{};
    const int made = fax_tx(state_, samples.data(), frame);
    std::fill(samples.begin() + std::max(0, made), samples.end(), int16_t{0});
    std::vector<uint8_t> packet = {0x80, static_cast<uint8_t>(o_.law == "a" ? 8 : 0)};
    put16(packet, sequence_++);
    put16(packet, timestamp_ >> 16), put16(packet, timestamp_ & 0xFFFF);
    put16(packet, 0xFA0C), put16(packet, o_.local);
    for (const int16_t s : samples) packet.push_back(o_.law == "a" ? linear_to_alaw(s) : linear_to_ulaw(s));
    timestamp_ += frame;
    if (lost_(random_) >= o_.loss) socket_.send(packet);
  }

 private:
  const Options& o_;
  Socket& socket_;
  fax_state_t* state_;
  bool started_ = false;
  uint16_t next_ = 0, sequence_ = 1;
  uint32_t timestamp_ = 8000;
  std::minstd_rand random_{7};
  std::uniform_real_distribution<double> lost_{0, 1};
};

/// T.38 annex B: IFP packets in UDPTL, each with the two before it for redundancy.
class Datagrams {
 public:
  Datagrams(const Options& o, Socket& socket)
      : o_(o), socket_(socket), state_(t38_terminal_init(nullptr, o.calling, &Datagrams::on_ifp, this)) {}
  ~Datagrams() { t38_terminal_free(state_); }
  Datagrams(const Datagrams&) = delete;
  Datagrams& operator=(const Datagrams&) = delete;
  t30_state_t* t30() { return t38_terminal_get_t30_state(state_); }

  void take(const std::vector<uint8_t>& packet) {
    size_t at = 2;
    const auto primary = field(packet, at);
    if (!primary) return;
    const auto sequence = static_cast<uint16_t>(packet[0] << 8 | packet[1]);
    const auto ahead = static_cast<int16_t>(sequence - next_);
    if (started_ && ahead < 0) return;
    if (at + 2 <= packet.size() && packet[at] == 0x00) {  // secondary packets, the newest first
      std::vector<std::vector<uint8_t>> older;
      const size_t count = packet[at + 1];
      at += 2;
      for (size_t i = 0; i < count; ++i)
        if (auto f = field(packet, at)) older.push_back(std::move(*f));
      for (size_t i = older.size(); i-- > 0;)
        if (started_ && static_cast<int>(i) < ahead)
          hand_over(older[i], static_cast<uint16_t>(sequence - 1 - i));
    }
    hand_over(*primary, sequence);
    started_ = true;
    next_ = static_cast<uint16_t>(sequence + 1);
  }
  void tick() { t38_terminal_send_timeout(state_, frame); }

 private:
  /// A length of X.691 section 10.9 up to 16383, and so many octets.
  static std::optional<std::vector<uint8_t>> field(const std::vector<uint8_t>& packet, size_t& at) {
    if (at >= packet.size()) return std::nullopt;
    size_t length = packet[at++];
    if (length & 0x80) {
      if (at >= packet.size()) return std::nullopt;
      length = (length & 0x3F) << 8 | packet[at++];
    }
    if (length > packet.size() - at) return std::nullopt;
    std::vector<uint8_t> out(packet.begin() + static_cast<std::ptrdiff_t>(at),
                             packet.begin() + static_cast<std::ptrdiff_t>(at + length));
    at += length;
    return out;
  }
  static void add_field(std::vector<uint8_t>& out, const std::vector<uint8_t>& ifp) {
    if (ifp.size() < 128)
      out.push_back(static_cast<uint8_t>(ifp.size()));
    else
      put16(out, static_cast<uint32_t>(0x8000 | ifp.size()));
    out.insert(out.end(), ifp.begin(), ifp.end());
  }
  void hand_over(const std::vector<uint8_t>& ifp, uint16_t sequence) {
    t38_core_rx_ifp_packet(t38_terminal_get_t38_core_state(state_), ifp.data(), static_cast<int>(ifp.size()),
                           sequence);
  }
  static int on_ifp(t38_core_state_t*, void* self, const uint8_t* bytes, int size, int copies) {
    static_cast<Datagrams*>(self)->say({bytes, bytes + size}, copies);
    return 0;
  }
  void say(std::vector<uint8_t> ifp, int copies) {
    std::vector<uint8_t> packet;
    put16(packet, sequence_++);
    add_field(packet, ifp);
    packet.push_back(0x00);
    packet.push_back(static_cast<uint8_t>(sent_.size()));
    for (const auto& older : sent_) add_field(packet, older);
    for (int i = 0; i < std::max(1, copies); ++i)
      if (lost_(random_) >= o_.loss) socket_.send(packet);
    sent_.push_front(std::move(ifp));
    if (sent_.size() > 2) sent_.pop_back();
  }

  const Options& o_;
  Socket& socket_;
  t38_terminal_state_t* state_;
  bool started_ = false;
  uint16_t next_ = 0, sequence_ = 0;
  std::deque<std::vector<uint8_t>> sent_;  // the newest first
  std::minstd_rand random_{7};
  std::uniform_real_distribution<double> lost_{0, 1};
};

// ---- the call --------------------------------------------------------------------------------------------

std::optional<int> outcome;
void on_end(t30_state_t*, void*, int code) { outcome = code; }

void set_up(t30_state_t* t30, const Options& o) {
  t30_set_tx_ident(t30, o.calling ? "1001" : "1002");
  t30_set_supported_modems(t30, T30_SUPPORT_V27TER | T30_SUPPORT_V29);
  t30_set_supported_compressions(
      t30, T30_SUPPORT_T4_1D_COMPRESSION | T30_SUPPORT_T4_2D_COMPRESSION | T30_SUPPORT_T6_COMPRESSION);
  t30_set_ecm_capability(t30, 0);  // no second try: what the line does to the page is to be seen
  t30_set_rx_encoding(t30, T4_COMPRESSION_ITU_T6);
  if (o.calling)
    t30_set_tx_file(t30, o.file.c_str(), -1, -1);
  else
    t30_set_rx_file(t30, o.file.c_str(), -1);
  t30_set_phase_e_handler(t30, on_end, nullptr);
}

template <class Line>
int call(const Options& o, Socket& socket) {
  using Clock = std::chrono::steady_clock;
  Line line(o, socket);
  set_up(line.t30(), o);
  const auto begin = Clock::now();
  auto next = begin;
  const auto hang_up = begin + std::chrono::duration<double>(o.seconds);
  int after = 0;  // frames since the end: the last message has to get out
  while (Clock::now() < hang_up && after < 25) {
    while (const auto packet = socket.receive()) line.take(*packet);
    if (const auto now = Clock::now(); now >= next) {
      line.tick();
      next += std::chrono::milliseconds(20);
      if (outcome) ++after;
      continue;
    }
    socket.wait(static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(next - Clock::now()).count()));
  }
  t30_stats_t stats;
  t30_get_transfer_statistics(line.t30(), &stats);
  const int pages = o.calling ? stats.pages_tx : stats.pages_rx;
  std::printf(
      "{\"ended\": %s, \"code\": %d, \"why\": \"%s\", \"pages\": %d, \"bit_rate\": %d, \"bad_rows\": %d}\n",
      outcome ? "true" : "false", outcome.value_or(-1),
      outcome ? t30_completion_code_to_str(*outcome) : "still going on", pages, stats.bit_rate,
      stats.bad_rows);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("a fax machine on a UDP port");
  app.require_subcommand(1);
  Options o;
  std::string other;
  uint32_t lines = 0;
  auto* page = app.add_subcommand("page", "writes a page");
  page->add_option("file", o.file)->required();
  page->add_option("lines", lines)->required();
  auto* compare = app.add_subcommand("compare", "compares two pages line by line");
  compare->add_option("sent", o.file)->required();
  compare->add_option("received", other)->required();
  auto* run = app.add_subcommand("call", "sends or receives a page");
  run->add_flag("--calling", o.calling, "sends");
  run->add_flag("--t38", o.t38, "T.38 instead of sound");
  run->add_option("--law", o.law, "u or a");
  run->add_option("--file", o.file)->required();
  run->add_option("--local", o.local)->required();
  run->add_option("--remote", o.remote)->required();
  run->add_option("--loss", o.loss, "share of what it sends that is lost");
  run->add_flag("--wrong-law", o.wrong_law, "hears by the other law");
  run->add_option("--seconds", o.seconds, "hangs up then");
  CLI11_PARSE(app, argc, argv);
  if (page->parsed()) return make_page(o.file, lines);
  if (compare->parsed()) return compare_pages(o.file, other);
  Socket socket(o.local);
  if (!socket.bound()) {
    std::fprintf(stderr, "port %u is taken\n", o.local);
    return 1;
  }
  socket.aim(o.remote);
  return o.t38 ? call<Datagrams>(o, socket) : call<Sound>(o, socket);
}
