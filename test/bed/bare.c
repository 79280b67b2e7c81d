/*
 * Measures the least that a hotplug client can cost. `bare add` is a client that only connects, asks, reads an
 * answer and ends. `bare serve` is a server that only answers. Both use the socket at XEN_BLKBACK_BARE.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static const char question[] = "xen-blkback 1 add backend/vbd/7/51712\n";
static const char answer[] = "accepted\nok\n";

static int ask(int fd, const struct sockaddr_un *address)
{
	char reply[64];

	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) ||
	    send(fd, question, sizeof(question) - 1, MSG_NOSIGNAL) < 0)
		return 1;
	return read(fd, reply, sizeof(reply)) == sizeof(answer) - 1 ? 0 : 1;
}

static int serve(int fd, const struct sockaddr_un *address)
{
	char request[64];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (bind(fd, (const struct sockaddr *)address, sizeof(*address)) || listen(fd, 1024))
		return 1;
	if (write(1, "ready\n", 6) != 6)
		return 1;
	for (;;) {
		int client = accept(fd, NULL, NULL);

		if (client < 0)
			return 1;
		if (read(client, request, sizeof(request)) > 0)
			send(client, answer, sizeof(answer) - 1, MSG_NOSIGNAL);
		close(client);
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const char *path = getenv("XEN_BLKBACK_BARE");
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (argc != 2 || !path || strlen(path) >= sizeof(address.sun_path) || fd < 0)
		return 2;
	strcpy(address.sun_path, path);
	return strcmp(argv[1], "serve") ? ask(fd, &address) : serve(fd, &address);
}
