/*
 * What is remembered of a balancer from run to run, because no look at its host
 * tells it. Pure: the caller brings the clocks.
 *
 * An instance has one. A run is lent a copy, learns, and gives it back, however
 * it ends; a run that only observed gives nothing back.
 */
#ifndef APILB_CORE_MEMORY_H
#define APILB_CORE_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "daemon/core/hash.h"
#include "daemon/core/memory/leaving.h"
#include "daemon/core/memory/refused.h"
#include "daemon/core/memory/replaced.h"
#include "daemon/core/memory/silence.h"

struct memory {
	/*
	 * The config file, as it was when last read: while it has the same size and
	 * mtime it is not read again. A hash says, too, that the file at this path has
	 * been ours.
	 */
	char *config_path;   /* NULL: its engine was never reached, so nothing can be on the host */
	int64_t config_size; /* as the engine's archive HEAD told; -1: not known */
	char *config_mtime;  /* likewise, verbatim; NULL: not known */
	char config_sha256[SHA256_HEX_SIZE]; /* "": not known */
	char *beside_seen; /* files beside it that were read and found right, a line each; NULL: none */

	char *known_id; /* the container that was last judged right: another one is looked at more closely;
			   NULL: none was */
	char *accepted; /* configs that were checked on the host (accepted.h); NULL: none */
	struct refused refused;   /* the version that HAProxy did not take */
	struct silence silence;   /* of its stats socket */
	struct replaced replaced; /* the container that was made last */
	struct leaving leaving;   /* former containers that still have connections */
};

void memory_init(struct memory *memory); /* nothing is remembered */
void memory_copy(struct memory *to, const struct memory *from);
void memory_clear(struct memory *memory); /* initializes it, too */

/* A copy for a run that is to make this version true; NULL: none. */
void memory_lend(struct memory *to, const struct memory *from, const char *version, int64_t now_ms);
/* Back from such a run, which has ended with `err`. learned: taken over, and initialized. */
void memory_take(struct memory *memory, struct memory *learned, const char *version, const struct err *err,
		 int64_t now_ms);

/* What outlives the process of it. */

/* The same in both; what has changed is to be written down at once. */
bool memory_is_recorded(const struct memory *memory, const struct memory *recorded);
/*
 * What has no column of its own in the store, as JSON: the silence, if there is
 * one, and what was replaced in vain so far. NULL: there is nothing. The caller
 * frees it.
 */
char *memory_to_json(const struct memory *memory);
/* Takes it in, of which nothing is believed that cannot be: NULL, an older apilbd's, nonsense. */
void memory_recall(struct memory *memory, const char *json, struct silence_clock now);

/* The config file. */

/* Its path is this one: what is known of a file at another path does not hold. */
void memory_turn_to_config(struct memory *memory, const char *path);
/* It was read. mtime may be NULL. */
void memory_read_config(struct memory *memory, const char *sha256, int64_t size, const char *mtime);
/* It is to be read again, whatever its size and mtime are. */
void memory_doubt_config(struct memory *memory);
/* It was read when it had this size and mtime. */
bool memory_has_config(const struct memory *memory, int64_t size, const char *mtime);

/* Files beside it: this one was read with this mtime, and found right. mtime may be NULL, and then is in no
 * memory. */
void memory_saw_beside(struct memory *memory, const char *name, const char *mtime);
bool memory_has_beside(const struct memory *memory, const char *name, const char *mtime);

/* The container has been judged, and is right. */
void memory_know(struct memory *memory, const char *container_id);
/* As what it was made, or what the engine has made of that, has been judged: it was right, or we made it. */
bool memory_knows(const struct memory *memory, const char *container_id);

#endif
