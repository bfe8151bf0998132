/*
 * The daemon's memory, in SQLite: STATE-DIR/apilbd.db, mode 0600 like all its
 * files, since it holds secrets.
 *
 * Writes are collected in one transaction, which is committed by store_flush, or,
 * if the store has an event base, by itself in the loop's next turn. The pragmas
 * are synchronous=FULL and journal_mode=WAL. A commit that fails loses nothing:
 * it is retried each second, and reads include the writes that are not committed
 * yet.
 *
 * The store can be lost: specs and labels are enough to find everything again but
 * the events, and the memory of balancers that are not well. A damaged file is
 * set aside as apilbd.db.damaged-TIME and a new store begun; the caller is told. A
 * file of a newer apilbd is refused and left unchanged.
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
 * Opens the store. Makes state_dir (mode 0700; its parent must exist) if it is missing. An existing
 * directory, and each of the store's files in it, must be ours, and only we may be able to write to it
 * (common/file.h). Takes an exclusive lock on STATE-DIR/lock, which holds our pid.
 *
 * Errors say what to do: the directory is read-only, full or not ours; another apilbd uses it. The last is
 * ERR_CONFLICT and worth a retry: the other process may just be ending.
 *
 * *warning is set when a damaged store was set aside, else NULL; the caller frees it. base may be NULL: then
 * only store_flush and store_close commit.
 */
struct store *store_open(struct event_base *base, const char *state_dir, char **warning, struct err *err);
void store_close(struct store *store); /* commits; writes that cannot be committed are lost; NULL is fine */

/* Commits all pending writes. If that fails (disk full), all of them stay pending. */
int store_flush(struct store *store, struct err *err);
/* Why the last commit failed; NULL: it succeeded. For status and /healthz. */
const char *store_trouble(const struct store *store);

/* Writing: rows are copied. The last put or deletion of a row wins. */

/* The last good version of a spec. */
struct store_spec {
	char *name;
	char *file;
	char *text; /* holds secrets */
	size_t len;
};
void store_put_spec(struct store *store, const struct store_spec *spec);
void store_delete_spec(struct store *store, const char *name);

/* A container that was made, or may have been made, on a host. Its key is host_url, engine and name. */
struct store_instance {
	char *host_url;
	char *engine;
	char *name;
	char *spec;
	char *host_json;    /* how to reach the host (spec_host_to_json); holds secrets */
	char *container_id; /* NULL: not known */
	char *image;
	char *config_path;   /* NULL: the engine was never reached, so nothing can have been made */
	char *config_sha256; /* NULL: not known */
	int64_t config_size; /* from the engine's last archive HEAD; -1: not known */
	char *config_mtime;  /* from the engine's last archive HEAD, verbatim; NULL: not known */
	char *accepted;      /* configs that HAProxy on the host has accepted (core/accepted.h); NULL: none */
	char *memory;        /* the rest of the instance's memory (memory_to_json); NULL: empty */
	int64_t changed_at_ms; /* Unix time in ms, like all times here; 0: never */
	/* The last error; error_kind 0: none. */
	int error_kind;
	char *error_message;
	int64_t error_since_ms;
	int64_t attempts;
	/* A change that is being rolled out (core/rollout.h). */
	char *in_force;     /* the version in force (spec_instance_to_json); NULL: not known */
	char *former;       /* the former version, before the change (spec_instance_to_json); NULL: none */
	char *next_version; /* version of the held next revision (struct wanted); NULL: none */
	int rollout;        /* enum unit_state */
	int served;         /* 1: a server was up before the change */
};
void store_put_instance(struct store *store, const struct store_instance *instance);
void store_delete_instance(struct store *store, const char *host_url, const char *engine, const char *name);

struct store_event {
	int64_t id; /* grows from event to event; set by store_add_event */
	int64_t time_ms;
	char *level;    /* "info", "warning", "error" */
	char *spec;     /* NULL: the event is about no spec; so for the next two members */
	char *instance; /* id of the instance */
	char *host;     /* label of the host (struct spec_host) */
	char *type;     /* "created", "drift", "unreachable", ...: one word */
	char *message;
};
/*
 * Returns the id. When there are more than STORE_MAX_EVENTS, STORE_TRIM_EVENTS are dropped: those of the spec
 * that has most events (events without a spec count as one spec), and within it the oldest of the host that
 * has most. So a flood about one spec or host does not push out the events of others.
 */
int64_t store_add_event(struct store *store, const struct store_event *event);
#define STORE_MAX_EVENTS 10000
#define STORE_TRIM_EVENTS 1000

/* Single values by name, for data that fits none of the rows above. */
void store_put_meta(struct store *store, const char *name, const char *value); /* value NULL: deletes */
/* Works even while another program keeps the store from being written. NULL: there is no such value, or the
 * store cannot be read. The caller frees. */
char *store_get_meta(struct store *store, const char *name);

/* Reading. The caller owns the arrays, and frees them with the functions below. */
int store_load_specs(struct store *store, struct store_spec **v, size_t *n, struct err *err);
int store_load_instances(struct store *store, struct store_instance **v, size_t *n, struct err *err);
/* Events with id > after, oldest first, at most max, pending ones included. spec NULL: of all specs. */
int store_load_events(struct store *store, int64_t after, const char *spec, size_t max,
		      struct store_event **v, size_t *n, struct err *err);
/* The id after which the last n events come, for store_load_events; 0: there are no more than n. */
int64_t store_events_tail(struct store *store, const char *spec, size_t n);

void store_specs_free(struct store_spec *v, size_t n);
void store_instances_free(struct store_instance *v, size_t n);
void store_events_free(struct store_event *v, size_t n);
void store_instance_clear(struct store_instance *instance);

#endif
