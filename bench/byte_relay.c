/* The floor for one more hop: a relay that moves bytes and knows nothing of HTTP.
 *
 *     byte_relay HANDLER ARGS...
 *
 * It takes a handler command as any proxy of the Runtime API does: it listens on a free port of 127.0.0.1, starts the
 * handler with AWS_LAMBDA_RUNTIME_API pointing there, and gives each handler connection one connection of its own to
 * the real Runtime API. When the handler ends, it ends with the handler's status.
 *
 * Sends block. Two ends that both send without reading would stop it, but HTTP takes turns, and the bench's ends do.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { HANDLER_ENDED, LISTENER, FIRST_CONNECTION, MAX_WATCHED = 128, BUFFER_BYTES = 256 * 1024 };

/* watched[n] is polled; what it receives goes to other_end[n]. The two ends of a pair are neighbours. */
static struct pollfd watched[MAX_WATCHED];
static int other_end[MAX_WATCHED];
static int watched_count = FIRST_CONNECTION;
static char buffer[BUFFER_BYTES];

static struct sockaddr_in parse_address(const char *host_and_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    char host[64];
    int port;

    if (!host_and_port || sscanf(host_and_port, "%63[^:]:%d", host, &port) != 2 ||
        inet_pton(AF_INET, host, &address.sin_addr) != 1)
        errx(1, "AWS_LAMBDA_RUNTIME_API must be an IPv4 address and a port, such as 127.0.0.1:9001");
    address.sin_port = htons(port);
    return address;
}

/* Without it a small write after a small write would wait for the other side's acknowledgement. */
static void send_at_once(int fd)
{
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

static int listen_on_loopback(struct sockaddr_in *address)
{
    socklen_t size = sizeof *address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (fd < 0 || bind(fd, (struct sockaddr *)address, size) || listen(fd, 64) ||
        getsockname(fd, (struct sockaddr *)address, &size))
        err(1, "listen");
    return fd;
}

static pid_t start_handler(char **command, const struct sockaddr_in *address)
{
    char host_and_port[32];
    pid_t pid = fork();

    if (pid < 0)
        err(1, "fork");
    if (pid > 0)
        return pid;
    snprintf(host_and_port, sizeof host_and_port, "127.0.0.1:%d", ntohs(address->sin_port));
    setenv("AWS_LAMBDA_RUNTIME_API", host_and_port, 1);
    execvp(command[0], command);
    err(127, "%s", command[0]);
}

static void watch(int fd, int other)
{
    watched[watched_count] = (struct pollfd){.fd = fd, .events = POLLIN};
    other_end[watched_count++] = other;
}

static void accept_connection(int listener, const struct sockaddr_in *runtime_api)
{
    int handler = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    int upward = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (handler < 0 || upward < 0 || connect(upward, (struct sockaddr *)runtime_api, sizeof *runtime_api))
        err(1, "connect");
    if (watched_count + 2 > MAX_WATCHED)
        errx(1, "more than %d connections at once", (MAX_WATCHED - FIRST_CONNECTION) / 2);
    send_at_once(handler);
    send_at_once(upward);
    watch(handler, upward);
    watch(upward, handler);
}

/* Returns 0 when either side of the pair has closed. */
static int relay(int from, int to)
{
    ssize_t received = recv(from, buffer, sizeof buffer, 0);

    for (ssize_t sent = 0; sent < received;) {
        ssize_t n = send(to, buffer + sent, received - sent, MSG_NOSIGNAL);
        if (n < 0)
            return 0;
        sent += n;
    }
    return received > 0;
}

/* Closes the pair that n belongs to and moves the last pair into its place. */
static void close_pair(int n)
{
    int first = FIRST_CONNECTION + (n - FIRST_CONNECTION) / 2 * 2;

    close(watched[first].fd);
    close(watched[first + 1].fd);
    watched_count -= 2;
    memcpy(&watched[first], &watched[watched_count], 2 * sizeof watched[0]);
    memcpy(&other_end[first], &other_end[watched_count], 2 * sizeof other_end[0]);
}

int main(int argc, char **argv)
{
    struct sockaddr_in runtime_api = parse_address(getenv("AWS_LAMBDA_RUNTIME_API")), ours;
    int status;

    if (argc < 2)
        errx(1, "usage: byte_relay HANDLER ARGS...");
    watched[LISTENER] = (struct pollfd){.fd = listen_on_loopback(&ours), .events = POLLIN};
    pid_t handler = start_handler(argv + 1, &ours);
    watched[HANDLER_ENDED] = (struct pollfd){.fd = syscall(SYS_pidfd_open, handler, 0), .events = POLLIN};

    while (poll(watched, watched_count, -1) > 0 && !watched[HANDLER_ENDED].revents) {
        for (int n = watched_count - 1; n >= FIRST_CONNECTION; n--)
            if (watched[n].revents && !relay(watched[n].fd, other_end[n])) {
                close_pair(n);
                break; /* the places have changed: poll anew */
            }
        if (watched[LISTENER].revents)
            accept_connection(watched[LISTENER].fd, &runtime_api);
    }
    waitpid(handler, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
