/*
 * The settings of the hotplug client. They come from the environment or, if it does not have them, from the
 * configuration files, which the daemon and the one-shot program read too (src/cli/config-file.ts,
 * docs/configuration.md).
 */
#pragma once

#define DEFAULT_TIMEOUT_S 30
#define LONGEST_TIMEOUT_S 86400

/* Reads the configuration files. Without this call, only the environment counts. */
void load_config(void);

/* Returns the time limit in milliseconds. The default replaces a value that makes no sense. */
long timeout_ms(void);

/* Returns the path of the daemon's socket. */
const char *socket_path(void);
