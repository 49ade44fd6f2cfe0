/* The limit for a server: an epoll loop in C that sends back whatever it reads.
 *
 * Usage: echo_server [reply-prefix]
 * With a prefix it talks the project's length framing: the reply to a message is prefix + message,
 * one read being taken for one message, which holds for the small messages that benchmarks send.
 * Prints the port that it chose. Ends with SIGTERM.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BATCH = 256, BUFFER = 1 << 16, HEADER = 4 };

static void need(int good, const char *what) {
    if (!good) {
        perror(what);
        exit(1);
    }
}

static void send_all(int fd, const char *data, size_t size) {
    while (size > 0) {
        ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN)
            return;
        if (sent > 0) {
            data += sent;
            size -= (size_t)sent;
        }
    }
}

int main(int argc, char **argv) {
    const char *prefix = argc > 1 ? argv[1] : "";
    size_t prefix_size = strlen(prefix);
    static char in[BUFFER], out[BUFFER + 256];
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);

    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    need(bind(listener, (struct sockaddr *)&address, size) == 0, "bind");
    need(listen(listener, 4096) == 0, "listen");
    getsockname(listener, (struct sockaddr *)&address, &size);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);

    int poller = epoll_create1(0);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
    struct epoll_event events[BATCH];
    for (;;) {
        int ready = epoll_wait(poller, events, BATCH, -1);
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            if (fd == listener) {
                int client = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
                if (client < 0)
                    continue;
                int one = 1;
                setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                event = (struct epoll_event){.events = EPOLLIN, .data.fd = client};
                epoll_ctl(poller, EPOLL_CTL_ADD, client, &event);
                continue;
            }
            ssize_t got = recv(fd, in, sizeof in, 0);
            if (got < 0 && errno == EAGAIN)
                continue;
            if (got <= 0) {
                close(fd);
            } else if (prefix_size == 0) {
                send_all(fd, in, (size_t)got);
            } else {
                uint32_t length = htonl((uint32_t)(prefix_size + (size_t)got - HEADER));
                memcpy(out, &length, HEADER);
                memcpy(out + HEADER, prefix, prefix_size);
                memcpy(out + HEADER + prefix_size, in + HEADER, (size_t)got - HEADER);
                send_all(fd, out, prefix_size + (size_t)got);
            }
        }
    }
}
