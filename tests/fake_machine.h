/*
 * A host as the daemon sees it, in memory: files, images, containers, and the
 * HAProxies in them. Nothing here knows HTTP; fake_engine.h speaks that.
 *
 * As real as a run needs it: a HAProxy runs the config that its mount shows, when
 * that can be loaded, keeps what it has loaded until a reload, and answers on a
 * socket named by its token. A config with the word "unloadable" in it is one
 * that HAProxy refuses; one that does not end in a newline is half a file, which
 * it refuses, too.
 */
#ifndef APILB_TESTS_FAKE_MACHINE_H
#define APILB_TESTS_FAKE_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_object;

/* At this address no HAProxy ever reaches a server. */
#define FAKE_DEAD_SERVER "192.0.2.13"

struct fake_file {
	char *path; /* on the host, or "CONTAINER-ID:/path" within a container */
	char *text;
	size_t len;
	unsigned mode;
	bool is_dir;
	int64_t changed; /* a number that no other state of it has: its mtime */
	struct fake_file *next;
};

enum fake_status { FAKE_CREATED, FAKE_RUNNING, FAKE_PAUSED, FAKE_EXITED };

struct fake_container {
	char id[65], image_id[80];
	char *name;
	struct json_object *request; /* as it was created */
	enum fake_status status;
	int exit_code;
	int64_t started; /* so many starts had been before on this machine */
	char *loaded;    /* the config that its HAProxy runs; NULL: none runs */
	bool leaves;     /* it was told to, and has connections that last */
	int deaf;        /* so many signals to its HAProxy are lost: it has just started */
	int late;        /* so many connections to its stats socket are refused: it has just started */
	bool nameless;   /* for a day it has had no address for its first server's name; a reload helps */
	bool cut_off;    /* it reaches none of its servers */
	int unchecked;   /* so many of its answers say that it has not checked its servers yet */
	char *log;
	struct fake_container *next;
};

struct fake_machine {
	struct fake_file *files;
	struct fake_container *containers;
	char *images[8]; /* names; the id follows from the name */
	int64_t changes, starts, ids;
	char committed[80];         /* the image that was committed from a container; "": none was */
	struct json_object *labels; /* which are its own */
	bool lasting;               /* connections last: who is told to leave stays */
	bool podman;                /* its engine speaks so, and starts again what has left */
	bool twists;                /* what it makes has another stop signal than it was asked for */
	int deaf, late;             /* what is started from now on is so at first */
	bool no_links;              /* files in /etc have one name each */
	bool blind;                 /* of the configs of what runs its engine has only errors to say */
	int64_t answer_ms;          /* so long each answer of a HAProxy takes */
	int64_t pull_ms;            /* so long a pull takes */
	bool disk_is_full;          /* half of what is written gets there, then it fails */
	/* What it has been through: of the requests that change something, a line each. */
	char *history;
};

void fake_machine_init(struct fake_machine *machine);
void fake_machine_clear(struct fake_machine *machine);

void fake_add_image(struct fake_machine *machine, const char *name);
/* As containerd's image store does it: also when containers were made from it. */
void fake_remove_image(struct fake_machine *machine, const char *name);
/* docker commit: what is run from it has the container's labels, and nothing of what that mounts. Once. */
void fake_commit(struct fake_machine *machine, const struct fake_container *container, const char *name);
/* sha256 of the name, as engines write it: static until the next call. NULL: it is not there. */
const char *fake_image_id(const struct fake_machine *machine, const char *name_or_id);

struct fake_file *fake_file_find(const struct fake_machine *machine, const char *path);
/* text NULL: a directory. False when the disk is full: then half of it has got there. */
bool fake_file_write(struct fake_machine *machine, const char *path, const char *text, size_t len,
		     unsigned mode);
/* A second name of what is there; that takes no space. What had the name before is gone then, as engines do
 * it. False: it cannot be had. */
bool fake_file_link(struct fake_machine *machine, const char *from, const char *path);
void fake_file_remove(struct fake_machine *machine, const char *path);
/* Where a path in a container is. The caller frees. */
char *fake_path_of(const struct fake_container *container, const char *path);

/* By name, id, or the beginning of an id. */
struct fake_container *fake_find(const struct fake_machine *machine, const char *name_or_id);
/* Takes the request over. */
struct fake_container *fake_create(struct fake_machine *machine, const char *name,
				   struct json_object *request);
void fake_start(struct fake_machine *machine, struct fake_container *container);
/* Its HAProxy ends, at once. */
void fake_end(struct fake_container *container, int exit_code);
/* Its last connection ends, after it was told to leave. */
void fake_leave(struct fake_machine *machine, struct fake_container *container);
/* SIGUSR1 and SIGUSR2 to its HAProxy. */
void fake_tell_to_leave(struct fake_machine *machine, struct fake_container *container);
void fake_reload(struct fake_machine *machine, struct fake_container *container);
void fake_remove(struct fake_machine *machine, struct fake_container *container);

/* How many HAProxies take new connections of clients. */
size_t fake_serving(const struct fake_machine *machine);
/* Its answer to "show info;show stat". The caller frees. */
char *fake_answer(struct fake_container *container);
/* The token of its stats socket; "": it has none. */
const char *fake_token(const struct fake_container *container);

#endif
