/* The limit for a load generator: an epoll loop in C that sends, waits for a whole reply, compares
 * it, keeps the latency in a log-linear histogram, and sends the next message.
 *
 * Usage: load_client PORT CLIENTS SECONDS REQUEST-SIZE PREFIX FRAMING CHURN
 * FRAMING is length or raw; CHURN is messages per connection, or 0 for lasting connections.
 * Measures from 0.3 s after the last client's first reply: a server may take long to start the
 * processes or threads that it serves by.
 * Prints: messages connections seconds wrong p50_ns cpu_seconds
 */
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
#include <time.h>
#include <unistd.h>

enum { BATCH = 256, BUFFER = 1 << 17, RING = 256, SUB_BITS = 8, BUCKETS = 6000, MOST = 70000 };
enum { RING_BYTES = 4 << 20 }; /* of requests; above that, places in the ring share them */

struct client {
    uint64_t sent_at;
    size_t received;
    uint32_t turn;
    uint32_t wrong;
    uint32_t number;
    long left;
};

static struct client clients[MOST];
static char *requests[RING], *replies[RING];
static size_t request_size, reply_size;
static uint64_t buckets[BUCKETS];
static struct sockaddr_in address = {.sin_family = AF_INET};
static int poller;
static long churn;
static uint64_t connections;
static uint32_t served;

static void need(int good, const char *what) {
    if (!good) {
        perror(what);
        exit(1);
    }
}

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static double cpu_seconds(void) {
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

static void record(uint64_t value) {
    int shift = 64 - __builtin_clzll(value | 1) - SUB_BITS;
    size_t index = shift <= 0 ? value : ((size_t)shift << (SUB_BITS - 1)) + (value >> shift);
    buckets[index < BUCKETS ? index : BUCKETS - 1]++;
}

static void make_messages(size_t payload, const char *prefix, int framed) {
    size_t header = framed ? 4 : 0, prefix_size = strlen(prefix);
    request_size = header + payload;
    reply_size = header + prefix_size + payload;
    size_t fit = RING_BYTES / request_size;
    int distinct = fit < 2 ? 2 : fit < RING ? (int)fit : RING;
    for (int i = 0; i < RING; i++) {
        if (i >= distinct) {
            requests[i] = requests[i % distinct];
            replies[i] = replies[i % distinct];
            continue;
        }
        requests[i] = malloc(request_size);
        replies[i] = malloc(reply_size);
        uint32_t length = htonl((uint32_t)payload), answer = htonl((uint32_t)(prefix_size + payload));
        memcpy(requests[i], &length, header);
        memcpy(replies[i], &answer, header);
        memcpy(replies[i] + header, prefix, prefix_size);
        for (size_t k = 0; k < payload; k++)
            requests[i][header + k] = replies[i][header + prefix_size + k] = (char)('a' + (k * 7 + (size_t)i) % 26);
    }
}

static void send_next(int fd, struct client *client, uint64_t now) {
    client->turn++;
    client->received = client->wrong = 0;
    client->sent_at = now;
    need(send(fd, requests[client->turn % RING], request_size, MSG_NOSIGNAL) == (ssize_t)request_size,
         "send");
}

static void open_client(uint32_t number) {
    int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    need(fd >= 0 && fd < MOST, "socket");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (churn) {
        /* Ports of one address run out within a second of churn. */
        struct sockaddr_in source = {.sin_family = AF_INET,
                                     .sin_addr.s_addr = htonl(0x7f010001u + number % 64)};
        setsockopt(fd, IPPROTO_IP, 24 /* IP_BIND_ADDRESS_NO_PORT */, &one, sizeof one);
        need(bind(fd, (struct sockaddr *)&source, sizeof source) == 0, "bind");
    }
    need(connect(fd, (struct sockaddr *)&address, sizeof address) == 0, "connect");
    connections++;
    clients[fd] = (struct client){.turn = number, .number = number, .left = churn};
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
    send_next(fd, &clients[fd], now_ns());
}

int main(int argc, char **argv) {
    need(argc == 8, "usage: load_client PORT CLIENTS SECONDS SIZE PREFIX FRAMING CHURN");
    static char in[BUFFER];
    uint32_t count = (uint32_t)atoi(argv[2]);
    double seconds = atof(argv[3]);
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    address.sin_port = htons((uint16_t)atoi(argv[1]));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    make_messages((size_t)atol(argv[4]), argv[5], strcmp(argv[6], "length") == 0);
    churn = atol(argv[7]);
    poller = epoll_create1(0);
    for (uint32_t i = 0; i < count; i++)
        open_client(i);

    uint64_t now = now_ns(), give_up = now + 30000000000u, warm = UINT64_MAX, end = UINT64_MAX;
    uint64_t messages = 0, wrong = 0, first_connections = 0;
    double cpu = 0;
    int measuring = 0;
    uint32_t opened = count;
    struct epoll_event events[BATCH];
    while (now < end) {
        if (warm == UINT64_MAX && served == count) {
            warm = now + 300000000u;
            end = warm + (uint64_t)(seconds * 1e9);
        }
        if (warm == UINT64_MAX && now > give_up) {
            fprintf(stderr, "%u of %u clients got no reply within 30 s\n", count - served, count);
            return 1;
        }
        if (!measuring && now >= warm) {
            measuring = 1;
            messages = wrong = 0;
            first_connections = connections;
            memset(buckets, 0, sizeof buckets);
            warm = now;
            cpu = cpu_seconds();
        }
        int ready = epoll_wait(poller, events, BATCH, 100);
        now = now_ns();
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            struct client *client = &clients[fd];
            ssize_t got = recv(fd, in, sizeof in, 0);
            need(got > 0, "recv");
            if (client->received + (size_t)got > reply_size ||
                memcmp(in, replies[client->turn % RING] + client->received, (size_t)got) != 0)
                client->wrong = 1;
            client->received += (size_t)got;
            if (client->received < reply_size)
                continue;
            now = now_ns();
            wrong += client->wrong;
            record(now - client->sent_at);
            messages++;
            /* Only the first `count` connections are first ones. */
            served += client->turn == client->number + 1 && client->number < count;
            if (churn && --client->left == 0) {
                close(fd);
                open_client(opened++);
            } else {
                send_next(fd, client, now);
            }
        }
    }
    uint64_t seen = 0, rank = messages / 2, p50 = 0;
    for (size_t i = 0; i < BUCKETS && seen <= rank; i++) {
        seen += buckets[i];
        int shift = i < 256 ? 0 : (int)(i >> 7) - 1;
        p50 = (i - ((size_t)shift << 7)) << shift;
    }
    printf("%lu %lu %.6f %lu %lu %.6f\n", messages, connections - first_connections,
           (double)(now - warm) / 1e9, wrong, p50, cpu_seconds() - cpu);
    return 0;
}
