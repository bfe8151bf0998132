/*
 * The daemon's memory, in SQLite: state-dir/apilbd.db, mode 0600 like all its
 * files, since it holds secrets.
 *
 * Writes collect in one transaction that is committed at most once a turn of
 * the event loop (store_flush, or by itself through a timer of zero when it has
 * a base); synchronous=FULL, journal_mode=WAL. A commit that fails loses
 * nothing: it is tried again each second, and meanwhile reads see what is
 * pending. The store can be lost: everything in it but the events, and what is
 * remembered of balancers that are not well, is found again by labels and specs. A damaged file is set aside
 * (apilbd.db.damaged-TIME) and a new one begun; the caller is told. A file that
 * a newer apilbd wrote is refused and left as it is.
 */
#ifndef APILB_IO_STORE_H
#define APILB_IO_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"

struct event_base;
struct store;

/*
 * Makes the directory (0700; its parent must exist) when it is missing; one that is there, and each
 * file in it, must be ours and nobody else's to write (common/file.h). Takes
 * an exclusive lock on state-dir/lock, which holds the pid. Errors say what to
 * do: "another apilbd (pid 123) uses /var/lib/apilbd", read-only, full,
 * permission. Who holds a lock may be just ending: those are ERR_CONFLICT, and worth another try. *warning
 * (caller frees) is set when something was repaired, else NULL. base may be NULL: nothing is committed then
 * but by store_flush and store_close.
 */
struct store *store_open(struct event_base *base, const char *state_dir, char **warning, struct err *err);
void store_close(struct store *store); /* commits; what cannot be committed is lost; NULL is fine */

/* Commits what is pending now. A failure (disk full) keeps everything pending. */
int store_flush(struct store *store, struct err *err);
/* The last failure of a commit, or NULL when the last one worked: for status and /healthz. */
const char *store_trouble(const struct store *store);

/* Rows are copied when they are put; the last put or deletion of a row wins. */

/* Last good version of each spec. */
struct store_spec {
	char *name;
	char *file;
	char *text; /* holds secrets */
	size_t len;
};
void store_put_spec(struct store *store, const struct store_spec *spec);
void store_delete_spec(struct store *store, const char *name);

/* What was made, or may have been made, on a host: by host url, engine and container name. */
struct store_instance {
	char *host_url;
	char *engine;
	char *name;
	char *spec;
	char *host_json;    /* spec_host_to_json: how to reach it; holds secrets */
	char *container_id; /* NULL: not known */
	char *image;
	char *config_path;     /* NULL: its engine was never reached, so nothing can be there */
	char *config_sha256;   /* NULL: not known */
	int64_t config_size;   /* as the engine's archive HEAD last told; -1: not known */
	char *config_mtime;    /* likewise, verbatim; NULL: not known */
	char *accepted;        /* configs that were checked on the host (core/accepted.h); NULL: none */
	char *memory;          /* what else is remembered (memory_to_json); NULL: nothing */
	int64_t changed_at_ms; /* Unix time in ms, like all times here; 0: never */
	/* last error; error_kind 0: none */
	int error_kind;
	char *error_message;
	int64_t error_since_ms;
	int64_t attempts;
	/* A change that is being rolled out (core/rollout.h). */
	char *in_force;     /* spec_instance_to_json: what its host is kept at; NULL: not known */
	char *former;       /* likewise: what was in force before the change; NULL: there is none */
	char *next_version; /* of what waits for its turn (struct wanted); NULL: nothing */
	int rollout;        /* enum unit_state */
	int served;         /* 1: it had a server that was up before the change */
};
void store_put_instance(struct store *store, const struct store_instance *instance);
void store_delete_instance(struct store *store, const char *host_url, const char *engine, const char *name);

struct store_event {
	int64_t id; /* grows; set by store_add_event */
	int64_t time_ms;
	char *level;    /* "info", "warning", "error" */
	char *spec;     /* NULL when it is about no spec, like the next */
	char *instance; /* its id */
	char *host;     /* its label (struct spec_host) */
	char *type;     /* "created", "drift", "unreachable", ...: one word */
	char *message;
};
/*
 * Returns the id. Beyond STORE_MAX_EVENTS some go, a thousand at a time: always of the spec that has most, or
 * of what is about none, and there the oldest of the host that has most. So nobody's flood takes what others
 * had.
 */
int64_t store_add_event(struct store *store, const struct store_event *event);
#define STORE_MAX_EVENTS 10000
#define STORE_TRIM_EVENTS 1000

/* Single values by name, for what is no row of the above. */
void store_put_meta(struct store *store, const char *name, const char *value); /* value NULL: deletes */
/* Also while another program keeps the store from being written. NULL: there is none, or the store cannot be
 * read. The caller frees. */
char *store_get_meta(struct store *store, const char *name);

/* Reading. The arrays are the caller's, to be cleared with the functions below. */
int store_load_specs(struct store *store, struct store_spec **v, size_t *n, struct err *err);
int store_load_instances(struct store *store, struct store_instance **v, size_t *n, struct err *err);
/* Events with id > after, oldest first, at most max; what is pending included. spec: NULL for all. */
int store_load_events(struct store *store, int64_t after, const char *spec, size_t max,
		      struct store_event **v, size_t *n, struct err *err);
/* The id after which the last n events stand. */
int64_t store_events_tail(struct store *store, const char *spec, size_t n);

void store_specs_free(struct store_spec *v, size_t n);
void store_instances_free(struct store_instance *v, size_t n);
void store_events_free(struct store_event *v, size_t n);
void store_instance_clear(struct store_instance *instance);

#endif
