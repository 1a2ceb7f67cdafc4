#include "net/turn_steering.h"

#include <linux/filter.h>
#include <sys/socket.h>

#include <vector>

namespace tandem::net {
namespace {

constexpr uint32_t network(uint32_t offset) { return static_cast<uint32_t>(SKF_NET_OFF) + offset; }

}  // namespace

bool steer(int fd, IpAddress::Family family, bool with_port, uint16_t workers) {
  std::vector<sock_filter> code;
  const auto put = [&](int op, uint32_t k) { code.push_back(BPF_STMT(static_cast<uint16_t>(op), k)); };
  const bool v6 = family == IpAddress::Family::v6;
  // The source address, its words folded into one, in memory cell 0.
  put(BPF_LD | BPF_W | BPF_ABS, network(v6 ? 8 : 12));
  put(BPF_ST, 0);
  for (uint32_t at = 12; v6 && at < 24; at += 4) {
    put(BPF_LDX | BPF_MEM, 0);
    put(BPF_LD | BPF_W | BPF_ABS, network(at));
    put(BPF_ALU | BPF_XOR | BPF_X, 0);
    put(BPF_ST, 0);
  }
  if (with_port) {
    if (v6) {
      put(BPF_LD | BPF_H | BPF_ABS, network(40));
    } else {  // behind the options of the header
      put(BPF_LDX | BPF_B | BPF_MSH, network(0));
      put(BPF_LD | BPF_H | BPF_IND, network(0));
    }
    put(BPF_LDX | BPF_MEM, 0);
    put(BPF_ALU | BPF_XOR | BPF_X, 0);
  } else {
    put(BPF_LD | BPF_MEM, 0);
  }
  put(BPF_ALU | BPF_MUL | BPF_K, 0x9E3779B1U);
  put(BPF_ALU | BPF_RSH | BPF_K, 20);
  put(BPF_ALU | BPF_MOD | BPF_K, workers);
  put(BPF_RET | BPF_A, 0);
  const sock_fprog program{static_cast<unsigned short>(code.size()), code.data()};
  return setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program) == 0;
}

}  // namespace tandem::net
