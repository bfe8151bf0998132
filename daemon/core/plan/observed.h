/*
 * What a host was seen to hold: the engine's and HAProxy's answers as values.
 *
 * Filled in by the job, read by the plan. Where something was not looked at,
 * it says so: unknown is not the same as missing.
 */
#ifndef APILB_CORE_OBSERVED_H
#define APILB_CORE_OBSERVED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "daemon/core/haproxy/haproxy.h"
#include "daemon/core/hash.h"
#include "daemon/core/host_file.h"

struct json_object;

enum container_status {
	CONTAINER_UNKNOWN,
	CONTAINER_CREATED,
	CONTAINER_RUNNING,
	CONTAINER_PAUSED,
	CONTAINER_RESTARTING,
	CONTAINER_REMOVING,
	CONTAINER_EXITED,
	CONTAINER_DEAD,
};

enum container_status container_status_parse(const char *text);
const char *container_status_name(enum container_status status); /* the engine's word */

struct observed_container {
	char *id;
	char *name;  /* without the engine's leading slash */
	char *image; /* as it was asked for at creation */
	char *user;  /* this and the next: NULL in entries of a list */
	char *network_mode;
	char *image_id;             /* what that name meant then; NULL: not told */
	char token[TOKEN_HEX_SIZE]; /* in its environment; "": none */
	enum container_status status;
	char *owner; /* labels; NULL when it has none */
	char *spec;
	char *instance;
	char *role;
	char *container_sha256;
	int64_t exit_code;
	bool known;       /* we have made it, or it was right before: as an engine has made it it stays */
	bool overdue;     /* it is leaving, and should have left by now */
	bool returned;    /* it had left, and runs again */
	bool undrained;   /* it should be leaving, and nobody knows whether it was told to */
	char *started_at; /* RFC 3339, the engine's clock; NULL: never */
	struct json_object *inspect; /* the whole reply; NULL for entries of a list */
	/* Only for entries of a list: it has what we mount into each container of ours, or that is not told.
	 */
	bool mounts_ours;
};

/* From an entry of GET /containers/json. NULL when it is not one. */
struct observed_container *observed_from_list(struct json_object *entry);
/* From GET /containers/{id}/json. NULL, with err, when it is not a container. */
struct observed_container *observed_from_inspect(struct json_object *inspect, struct err *err);
void observed_container_free(struct observed_container *container); /* NULL is fine */

/* Whether a variable of an environment is our token ("APILB_TOKEN=..."); NULL is none. */
bool observed_is_token(const char *variable);
/* Made by us: it has our owner's label. NULL is not. */
bool observed_is_owned(const struct observed_container *container, const char *owner);
/* An entry of a list whose labels are a copy: an image that was committed from a balancer hands them on to
 * whatever it is run as. It does not mount what ours do, nor has it the name that its labels say, as a
 * balancer has that somebody made anew by hand, or one that only we give. */
bool observed_is_lookalike(const struct observed_container *container);
/* The name that it had when it was made, by its labels, and that of the directory of its stats socket; NULL:
 * they say none that can be one. */
const char *observed_made_as(const struct observed_container *container);
/* Its labels are those of its image (reply of GET /images/{id}/json), which was committed from a balancer. */
bool observed_inherits_labels(const struct observed_container *container, struct json_object *image);

/* Whether it shows what is at this path of the host: mounts it, or its directory. */
bool observed_mounts_path(const struct observed_container *container, const char *path);
/* By its command: with our own containers, whatever became of them. */
bool observed_runs_haproxy(const struct observed_container *container);
/* Its command has this word. */
bool observed_is_told(const struct observed_container *container, const char *word);

/* A server as HAProxy sees it (`show stat`, HAProxy management guide, 9.1). */
enum server_state { SERVER_UNKNOWN, SERVER_UP, SERVER_DOWN };
const char *server_state_name(enum server_state state);

struct observed_server {
	char *name; /* as haproxy_server_name() */
	enum server_state state;
	bool draining;   /* down for new connections only: those in use go on */
	bool unresolved; /* its name has no address */
	char *check;     /* HAProxy's last check in its own words ("L4TOUT"), "" if none */
	char *why;       /* why it is not up, in words: "connection refused"; NULL: it is, or nobody knows */
	int64_t changed_s; /* seconds since HAProxy last changed its mind; -1: not told */
};

enum stats_status {
	STATS_UNKNOWN,  /* not asked */
	STATS_ANSWERED, /* the socket answered: what follows is valid */
	STATS_EARLY,    /* none, but it may only just have started: no answer of this start yet, and not asked
			   for long (silence.h) */
	STATS_DIR_MISSING, /* the host has no directory for the socket */
	STATS_NO_SOCKET,   /* the directory is right, the socket is gone */
	STATS_FAILED,      /* the socket is there and cannot be used: stats_error says why */
};

struct observed_instance {
	struct observed_container *current; /* has the wanted name; NULL: no such container */
	struct observed_container *next;    /* the successor of an unfinished handover; NULL: none */
	struct observed_container *helper;  /* left over; NULL: none */
	struct observed_container **old;    /* were succeeded, and leave with their last connections */
	size_t old_n;
	char *relieves; /* runs on the host, and leaves when this balancer, which has never run yet, serves in
			   its place: another name, or of another spec; NULL: there is none */
	char *foreign;  /* in what current differs from its own image, which we never ask for; NULL: nothing,
			   or not looked */
	bool image_known, image_present;
	bool image_lost;      /* the image that current was made from is not on the host any more: what it was
				 called      then is what there is */
	bool config_accepted; /* the image's HAProxy has accepted the wanted config before */

	/*
	 * What stands at the config's path: seen by the balancer's own container, as
	 * the fields that follow are, or, where that does not show it, through a helper.
	 */
	struct host_file file;
	bool file_is_ours; /* a label, the store or the balancer before it says so, whatever stands in it */

	bool config_in_doubt; /* the engine has only errors to say of it: a mounted file that is gone, or it
				 is the engine's own trouble */
	bool config_known;
	bool config_exists;
	bool config_mode; /* its permissions are not CONFIG_MODE */
	char *lost_file; /* beside the config: it is missing there, or not as it was written; NULL: none is */
	char config_sha256[SHA256_HEX_SIZE];
	char *config; /* text; NULL when it was not read (it is as it was when last read) */

	enum stats_status stats;
	char *stats_error;
	bool run_dir_mode; /* the directory of the socket has other permissions than it should */
	/* STATS_NO_SOCKET, STATS_FAILED: */
	bool hurried;       /* STATS_EARLY: it was given a moment only, as others of its host do not answer */
	char *silence;      /* since when, and what is done about it, in words */
	bool successor_due; /* that is to be done now */
	struct haproxy_description loaded; /* by the running HAProxy; empty: not ours */
	char *haproxy_version;
	int64_t asked_at_ms; /* Unix time of the answer, set by who asked */
	int64_t uptime_s;    /* of the process that answered; -1: not told */
	bool stopping;       /* that process takes no new connections any more */
	struct observed_server *servers;
	size_t servers_n;
	bool fallback; /* there are unchecked backup servers with an address, which get the traffic when no
			  server is up */
};

void observed_instance_clear(struct observed_instance *instance);
void observed_forget_servers(struct observed_instance *instance);
/* Whose HAProxy `stats` and what follows are of: the current container's; of the successor, when that is all
 * that can run. NULL: nobody's. */
const struct observed_container *observed_answerer(const struct observed_instance *instance);
/* Takes the container over. */
void observed_instance_add_old(struct observed_instance *instance, struct observed_container *old);
/* Lets go of what only a plan needs: whole replies and texts. For whoever keeps it. */
void observed_instance_slim(struct observed_instance *instance);

/* Takes the answers to "show info;show stat" in. Sets stats to ANSWERED, or, for text that is no answer, or
 * not all of it, to FAILED; then nothing of it counts. */
void observed_stats_parse(struct observed_instance *instance, const char *text);
/* It was asked, and does not answer; it may serve all the same. */
bool observed_is_silent(const struct observed_instance *instance);
/* How many of its servers HAProxy sees in this state. */
size_t observed_servers_in(const struct observed_instance *instance, enum server_state state);
/* It has just started: HAProxy does not know yet whether any of its servers is up. */
bool observed_is_unchecked(const struct observed_instance *instance);
/* It said that whoever connects gets no server. What did not answer may have some. */
bool observed_serves_nobody(const struct observed_instance *instance);
/* HAProxy before 2.8 says no more of a refused certificate than that the handshake failed: for a balancer
 * that verifies certificates, words that do. name: that they must have. */
void observed_stats_suspect_certificates(struct observed_instance *instance, const char *name);

#endif
