/* A handler, and called as `… -c COMMAND`, as a shell is, a post command. Static, so that it runs where there is nothing.

   The handler first says what it was given: a line `env NAME=VALUE` for each variable, `cwd PATH`, and `fd N` for each
   open descriptor above the standard ones. Then it answers each event with the event, until one says "stop".
   The post command says `post REQUEST_ID OUTCOME SECONDS`. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

extern char **environ;

static char message[65536]; /* one answer of the Runtime API: head, and from `body` on the body */
static char *body;

static void fail(const char *what)
{
    perror(what);
    exit(3);
}

static int connect_to_runtime_api(void)
{
    char host[64];
    int port;
    const char *address = getenv("AWS_LAMBDA_RUNTIME_API");
    if (address == NULL || sscanf(address, "%63[^:]:%d", host, &port) != 2)
        fail("AWS_LAMBDA_RUNTIME_API");
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    inet_pton(AF_INET, host, &to.sin_addr);
    int connection = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(connection, (struct sockaddr *)&to, sizeof to) != 0)
        fail("connect");
    return connection;
}

/* Send a request and read the answer to its end. */
static void exchange(int connection, const char *request)
{
    if (write(connection, request, strlen(request)) < 0)
        fail("write");
    size_t length = 0, whole = sizeof message;
    body = NULL;
    while (length < whole) {
        ssize_t count = read(connection, message + length, sizeof message - 1 - length);
        if (count <= 0)
            fail("read");
        length += count;
        message[length] = '\0';
        if (body == NULL && (body = strstr(message, "\r\n\r\n")) != NULL) {
            char *size = strcasestr(message, "\r\nContent-Length:");
            body += 4;
            whole = body - message + (size != NULL && size < body ? atol(size + 17) : 0);
        }
    }
}

static void say_what_was_given(void)
{
    for (char **variable = environ; *variable != NULL; variable++)
        printf("env %s\n", *variable);
    printf("cwd %s\n", get_current_dir_name());
    for (int fd = 3; fd < 64; fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            printf("fd %d\n", fd);
    fflush(stdout);
}

static void handle_events(void)
{
    char id[128], request[70000];
    int connection = connect_to_runtime_api(), stop = 0;
    while (!stop) {
        exchange(connection, "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: api\r\n\r\n");
        sscanf(strcasestr(message, "Lambda-Runtime-Aws-Request-Id:") + 30, " %127[^\r]", id);
        stop = strstr(body, "stop") != NULL;
        snprintf(request, sizeof request,
                 "POST /2018-06-01/runtime/invocation/%s/response HTTP/1.1\r\nHost: api\r\nContent-Length: %zu\r\n\r\n%s",
                 id, strlen(body), body);
        exchange(connection, request);
    }
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "-c") == 0) {
        struct timeval now;
        gettimeofday(&now, NULL);
        printf("post %s %s %ld.%06ld\n", getenv("AWS_LAMBDA_POST_RUNNER_REQUEST_ID"),
               getenv("AWS_LAMBDA_POST_RUNNER_OUTCOME"), (long)now.tv_sec, (long)now.tv_usec);
        return 0;
    }
    say_what_was_given();
    handle_events();
    return 0;
}
