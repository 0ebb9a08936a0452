// Simulated Modbus TCP devices for bench/modbus.py, served by libmodbus: `modbus_devices COUNT` opens COUNT free ports,
// each a device with 10,000 holding registers that count up, and prints "modbus_devices ready PORT PORT ...".
#include <modbus/modbus.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

namespace {

void serve(modbus_t* context, int listener) {
  modbus_mapping_t* mapping = modbus_mapping_new(0, 0, 10'000, 0);
  std::uint16_t turn = 0;
  while (modbus_tcp_accept(context, &listener) >= 0) {
    std::uint8_t query[MODBUS_TCP_MAX_ADU_LENGTH];
    int length = 0;
    while ((length = modbus_receive(context, query)) >= 0) {
      if (length == 0) continue;
      // Low words of floats: the values change, none of them is NaN.
      for (int i = 1; i < 10'000; i += 1000) mapping->tab_registers[i] = ++turn;
      modbus_reply(context, query, length, mapping);
    }
    modbus_close(context);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const int count = argc > 1 ? std::atoi(argv[1]) : 1;
  std::vector<std::thread> threads;
  std::vector<int> ports;
  for (int i = 0; i < count; ++i) {
    modbus_t* context = modbus_new_tcp("127.0.0.1", 0);
    const int listener = modbus_tcp_listen(context, 4);
    sockaddr_in address{};
    socklen_t size = sizeof address;
    if (listener < 0 || getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
      std::fprintf(stderr, "modbus_devices: no port: %s\n", modbus_strerror(errno));
      return 1;
    }
    ports.push_back(ntohs(address.sin_port));
    threads.emplace_back(serve, context, listener);
  }
  std::printf("modbus_devices ready");
  for (int port : ports) std::printf(" %d", port);
  std::printf("\n");
  std::fflush(stdout);
  for (std::thread& thread : threads) thread.join();
}
