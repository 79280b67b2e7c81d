/*
 * Feeds the compiled client with configuration files and answers of a daemon. With libFuzzer (clang) it is
 * its target; with gcc it has a loop of its own, which makes inputs from seeds and from what it has found to
 * be a beginning: `fuzz-client SECONDS SEED`. Both are built with AddressSanitizer and UBSan.
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* The client keeps the copies of its values. */
static char *copy;
static char *copied(const char *text, size_t length)
{
	free(copy);
	return copy = strndup(text, length);
}

#define strndup copied
#include "../../native/client-settings.c"
#include "../../native/client-daemon.c"

/* One copy of an input, without room behind it. */
static char *terminated(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	memcpy(text, data, size);
	text[size] = 0;
	return text;
}

static void read_as_config(const uint8_t *data, size_t size)
{
	static const char *const keys[] = { "timeout", "socket", "XEN_BLKBACK_TIMEOUT", "XEN_BLKBACK_SOCKET" };

	for (size_t at = 0; at < sizeof(keys) / sizeof(*keys); at++) {
		char *text = terminated(data, size);
		const char *value = find_value(text, keys[at], at < 2);

		/* A value stands in one line, and is the beginning of what stands there. */
		if (value && strchr(value, '\n'))
			abort();
		configured_timeout = value;
		if (timeout_ms() <= 0 || timeout_ms() > LONGEST_TIMEOUT_S * 1000L)
			abort();
		configured_timeout = NULL;
		free(text);
	}
}

/* The daemon says it in pieces, and ends. */
static void read_as_answers(const uint8_t *data, size_t size)
{
	long started = now_ms(), deadline = started;
	int ends[2];
	char *line;

	memset(&answer, 0, sizeof(answer));
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends))
		abort();
	if (size > 0 && send(ends[1], data, size, MSG_NOSIGNAL) != (ssize_t)size)
		size = 0;
	close(ends[1]);
	while ((line = read_line(ends[0], started + 50))) {
		if (strchr(line, '\n'))
			abort();
		if (is_accepted(line, &deadline) && deadline < started)
			abort();
	}
	close(ends[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	if (data[0] & 1)
		read_as_config(data + 1, size - 1);
	else
		read_as_answers(data + 1, size - 1);
	return 0;
}

#ifdef OWN_LOOP
static const char *const beginnings[] = {
	"0accepted 30000\nok\n", "0accepted\nfailed EBUSY backend/vbd/1/51712: busy\n", "0accepted 86400000\n",
	"1timeout = 30 # seconds\nsocket=\"/run/x\"\n", "1XEN_BLKBACK_TIMEOUT='5'\nXEN_BLKBACK_SOCKET=/a b\n",
};
static const char *const words[] = { "accepted ", "failed ", "ok", "\n", "=", "\"", "'", "#", " ", "timeout", "socket",
				     "9223372036854775808", "-1", "1e999", "nan", "0x1p9999" };
#define COUNT(list) (sizeof(list) / sizeof(*(list)))

int main(int argc, char **argv)
{
	long end = now_ms() + 1000 * (argc > 1 ? atol(argv[1]) : 10);
	unsigned long tries = 0;

	srand48(argc > 2 ? atol(argv[2]) : 1);
	while (now_ms() < end) {
		static uint8_t input[8192];
		const char *from = beginnings[lrand48() % COUNT(beginnings)];
		size_t size = strlen(from);

		memcpy(input, from, size);
		for (int changes = lrand48() % 12; changes > 0; changes--) {
			const char *word = words[lrand48() % COUNT(words)];
			size_t at = lrand48() % size, length = strlen(word), some;

			switch (lrand48() % 4) {
			case 0:
				input[at] = lrand48();
				break;
			case 1:
				if (size + length > sizeof(input))
					break;
				memmove(input + at + length, input + at, size - at);
				memcpy(input + at, word, length);
				size += length;
				break;
			case 2:
				size = at + 1;
				break;
			case 3: /* Long lines. */
				some = lrand48() % 5000;
				if (size + some > sizeof(input))
					break;
				memset(input + size, "ab 1\n"[lrand48() % 5], some);
				size += some;
				break;
			}
		}
		LLVMFuzzerTestOneInput(input, size);
		tries++;
	}
	printf("%lu inputs\n", tries);
	return 0;
}
#endif
