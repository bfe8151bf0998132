/*
 * What is remembered of a balancer from run to run because a look at its host
 * does not show it. Pure: the caller brings the clocks.
 *
 * An instance has one memory. A run gets a copy, changes it, and gives it back,
 * however the run ends; a run that only observes gives nothing back.
 */
#ifndef APILB_CORE_MEMORY_H
#define APILB_CORE_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "daemon/core/hash.h"
#include "daemon/core/memory/draining.h"
#include "daemon/core/memory/refused.h"
#include "daemon/core/memory/replaced.h"
#include "daemon/core/memory/silence.h"

struct memory {
	/*
	 * The config file when it was last read: it is not read again while size and mtime are the
	 * same. A hash also says that the file at config_path was ours once.
	 */
	char *config_path;   /* NULL: the engine was never reached, so nothing of ours is on the host */
	int64_t config_size; /* from HEAD of the engine's archive endpoint; -1: not known */
	char *config_mtime;  /* from there, verbatim; NULL: not known */
	char config_sha256[SHA256_HEX_SIZE]; /* "": not known */
	char *companions_seen; /* the files that the config refers to, with mtimes at which they were right;
			      NULL: none */

	char *known_id; /* the last container that was right: another one is looked at more closely; NULL:
			   none */
	char *accepted; /* configs that were checked on the host (accepted.h); NULL: none */
	struct refused refused;   /* the version that HAProxy has refused */
	struct silence silence;   /* since when its stats socket is silent */
	struct replaced replaced; /* the container that was made last */
	struct draining draining; /* draining containers */
};

void memory_init(struct memory *memory); /* empty */
void memory_copy(struct memory *to, const struct memory *from);
void memory_clear(struct memory *memory); /* empty again, and usable */

/* A copy for a run. version: what the run brings about; NULL: nothing. */
void memory_lend(struct memory *to, const struct memory *from, const char *version, int64_t now_ms);
/* Takes back the copy of a run that has ended with `err`. learned: moved out, and empty afterwards. */
void memory_take(struct memory *memory, struct memory *learned, const char *version, const struct err *err,
		 int64_t now_ms);

/* The part that is stored. */

/* Whether the stored parts of both are the same. If not, the caller stores `memory` at once. */
bool memory_is_recorded(const struct memory *memory, const struct memory *recorded);
/*
 * The parts without a column in the store, as JSON: the silence, and the last
 * replacement if it did not help. NULL: there is nothing to store. The caller
 * frees.
 */
char *memory_to_json(const struct memory *memory);
/*
 * Reads that JSON, which may be NULL, nonsense, or from an older apilbd: values that cannot be are
 * ignored.
 */
void memory_recall(struct memory *memory, const char *json, struct silence_clock now);

/* The config file. */

/* Sets the config's path; forgets what is known of a file at another path. */
void memory_turn_to_config(struct memory *memory, const char *path);
/* The config file was read. mtime may be NULL. */
void memory_read_config(struct memory *memory, const char *sha256, int64_t size, const char *mtime);
/* The config file must be read again, whatever its size and mtime are. */
void memory_doubt_config(struct memory *memory);
/* Whether the config file was read when it had this size and mtime. */
bool memory_has_config(const struct memory *memory, int64_t size, const char *mtime);

/*
 * Remembers that a file beside the config was read with this mtime, and was right. mtime NULL:
 * nothing is remembered.
 */
void memory_saw_companion(struct memory *memory, const char *name, const char *mtime);
bool memory_has_companion(const struct memory *memory, const char *name, const char *mtime);

/* The container was compared with what is wanted, and is right. */
void memory_know(struct memory *memory, const char *container_id);
/* Whether the container needs no closer look: it was right before, or we made it. */
bool memory_knows(const struct memory *memory, const char *container_id);

#endif
