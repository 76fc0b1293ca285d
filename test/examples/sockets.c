/* SPDX-License-Identifier: MIT
 * Two loopback ports for tests: one that accepts connections and never says a word, one that refuses them because it is bound
 * and not listened on, so that nobody else can take it. Prints both numbers and keeps them until standard input ends. */
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

static int bound_port(int *fd)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof address;

    *fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (*fd < 0 || bind(*fd, (struct sockaddr *)&address, size) != 0 ||
        getsockname(*fd, (struct sockaddr *)&address, &size) != 0)
        return -1;
    return ntohs(address.sin_port);
}

int main(void)
{
    int silent, refusing, silent_port = bound_port(&silent), refusing_port = bound_port(&refusing);
    char c;

    if (silent_port < 0 || refusing_port < 0 || listen(silent, 64) != 0) {
        perror("sockets");
        return 1;
    }
    printf("%d %d\n", silent_port, refusing_port);
    fflush(stdout);
    while (read(STDIN_FILENO, &c, 1) > 0)
        ;
    return 0;
}
