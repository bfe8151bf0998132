/*
 * What was observed on a host: the answers of the engine and of HAProxy as
 * values. The run fills them in, the plan reads them. Each says whether it was
 * looked at: unknown is not the same as missing.
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
	char *image; /* as given when the container was made */
	char *user;  /* like network_mode, NULL in entries of a list */
	char *network_mode;
	char *image_id;             /* the image that the name meant then; NULL: unknown */
	char token[TOKEN_HEX_SIZE]; /* from its environment; "": none */
	enum container_status status;
	char *owner; /* labels; NULL: the label is missing */
	char *spec;
	char *instance;
	char *role;
	char *binds; /* where it listens (core/binds.h) */
	char *container_sha256;
	int64_t exit_code;
	bool known; /* we have made it, or it was right before: what the engine has added to it is no drift */
	bool overdue;   /* it drains, and should have ended by now */
	bool returned;  /* it had drained, and was started again */
	bool undrained; /* it should drain, but may not have been told to */
	/* It listens where another balancer is to listen when that has its turn: it serves there until then.
	 */
	bool awaits_heir;
	char *started_at;            /* RFC 3339, the engine's clock; NULL: never */
	struct json_object *inspect; /* the whole reply; NULL for entries of a list */
	/*
	 * Entries of a list only: it mounts what we mount into each of our containers, or its
	 * mounts are unknown.
	 */
	bool mounts_ours;
};

/* From an entry of GET /containers/json. NULL: it is not a container. */
struct observed_container *observed_from_list(struct json_object *entry);
/* From the reply of GET /containers/{id}/json. NULL, with err: it is not a container. */
struct observed_container *observed_from_inspect(struct json_object *inspect, struct err *err);
void observed_container_free(struct observed_container *container); /* NULL is fine */

/* Whether an environment variable is our token ("APILB_TOKEN=..."). NULL is not. */
bool observed_is_token(const char *variable);
/* Whether the container runs or is about to, so that it may have connections. NULL does not. */
bool observed_is_up(const struct observed_container *container);
/* Whether the container has our owner's label, so that we have made it. NULL has not. */
bool observed_is_owned(const struct observed_container *container, const char *owner);
/*
 * Whether the labels of a list entry are a copy: an image that was committed from a balancer passes
 * them on to every container of it. Such a container does not mount what ours mount. Nor has it the
 * name that its labels say (as a balancer does that somebody made anew by hand), or a name that
 * only we give.
 */
bool observed_is_lookalike(const struct observed_container *container);
/*
 * The name for which the container was made, according to its labels. It is also the name of its
 * stats socket's directory. NULL: the labels give no possible name.
 */
const char *observed_made_as(const struct observed_container *container);
/*
 * Whether the container's labels come from its image, which was committed from a balancer. image:
 * the reply of GET /images/{id}/json.
 */
bool observed_inherits_labels(const struct observed_container *container, struct json_object *image);

/* Whether the container mounts this path of the host, or its directory, and so shows what is there. */
bool observed_mounts_path(const struct observed_container *container, const char *path);
/*
 * Whether the container's command is haproxy. True of all containers that we make, whatever became
 * of them.
 */
bool observed_runs_haproxy(const struct observed_container *container);
/* Whether the container's command contains this word. */
bool observed_is_told(const struct observed_container *container, const char *word);

/* A server as HAProxy sees it (`show stat`, HAProxy's Management Guide, 9.1). */
enum server_state { SERVER_UNKNOWN, SERVER_UP, SERVER_DOWN };
const char *server_state_name(enum server_state state);

struct observed_server {
	char *name; /* as haproxy_server_name() */
	enum server_state state;
	bool draining;   /* gets no new connections, and keeps those in use */
	bool unresolved; /* its name has no address */
	char *check;     /* result of the last check in HAProxy's words ("L4TOUT"); "": none */
	char *why;       /* why it is not up, for people: "connection refused"; NULL: it is up, or unknown */
	int64_t changed_s; /* seconds since its state last changed; -1: unknown */
};

enum stats_status {
	STATS_UNKNOWN,     /* not asked */
	STATS_ANSWERED,    /* the socket has answered: the members after `silence` are valid */
	STATS_EARLY,       /* no answer, but HAProxy may just have started (silence.h) */
	STATS_DIR_MISSING, /* the host has no directory for the socket */
	STATS_NO_SOCKET,   /* the directory is there, the socket is missing */
	STATS_CLOSED,      /* of a container that is to go: nobody listens at its socket */
	STATS_FAILED,      /* the socket is there, but does not answer: stats_error says why */
};

struct observed_instance {
	struct observed_container *current; /* the container with the wanted name; NULL: none */
	struct observed_container *next;    /* the successor of an unfinished handover; NULL: none */
	struct observed_container *helper;  /* a helper that was left over; NULL: none */
	struct observed_container **old;    /* former containers, which drain */
	size_t old_n;
	char *relieves; /* the container that this balancer, which has never run yet, replaces (under another
			   name, or from another spec): it serves until this one does; NULL: none */
	char *image_drift; /* how current differs from its image in what we never set; NULL: not at all, or
			  not looked at */
	bool image_known, image_present;
	bool image_lost;      /* current's image is gone from the host: use what its name means now */
	bool config_accepted; /* the image's HAProxy has accepted the wanted config */

	/*
	 * The file at the config's path. Like the members below, it is seen through the balancer's
	 * container, or, if that does not show it, through a helper.
	 */
	struct host_file file;
	bool file_is_ours; /* a label, the store or the former container says so, whatever the file holds */

	bool config_in_doubt; /* the engine only reports errors for the file: a mounted file is gone, or the
				 engine is in trouble */
	bool config_known;
	bool config_exists;
	bool config_mode_wrong; /* permissions differ from CONFIG_MODE */
	char *lost_file;        /* why a file beside the config must be written again; NULL: all are right */
	char config_sha256[SHA256_HEX_SIZE];
	char *config; /* text; NULL: not read, since it has not changed since it was last read */

	enum stats_status stats;
	char *stats_error;
	bool run_dir_mode_wrong; /* permissions of the socket's directory are wrong */
	/* For some values of `stats` only. */
	bool hurried;       /* STATS_EARLY: asked for a moment only: others on its host do not answer */
	char *silence;      /* STATS_NO_SOCKET, STATS_FAILED: since when, and what follows, for people */
	bool successor_due; /* STATS_NO_SOCKET, STATS_FAILED: a successor is due now */
	struct haproxy_description loaded; /* by the running HAProxy; empty: a config that is not ours */
	int64_t asked_at_ms;               /* Unix time of the answer, set by the caller */
	int64_t uptime_s;                  /* of the process that answered; -1: unknown */
	bool stopping;                     /* that process drains */
	struct observed_server *servers;
	size_t servers_n;
	bool fallback; /* unchecked backup servers with an address exist, which get the traffic when no server
			  is up */
};

void observed_instance_clear(struct observed_instance *instance);
void observed_forget_servers(struct observed_instance *instance);
/*
 * The container whose HAProxy `stats` and the members below describe: current; or next, if only
 * that can run. NULL: none.
 */
const struct observed_container *observed_answerer(const struct observed_instance *instance);
/* Adds a draining container, which it takes over. */
void observed_instance_add_old(struct observed_instance *instance, struct observed_container *old);
/* Frees what only a plan needs, whole replies and texts, for callers that keep the rest. */
void observed_instance_slim(struct observed_instance *instance);

/*
 * Parses the answers to "show info;show stat". Sets stats to STATS_ANSWERED; or to STATS_FAILED,
 * with nothing taken from the text, if it is no answer or incomplete.
 */
void observed_stats_parse(struct observed_instance *instance, const char *text);
/* Whether HAProxy was asked and does not answer. It may serve nevertheless. */
bool observed_is_silent(const struct observed_instance *instance);
/* How many servers are in this state. */
size_t observed_servers_in(const struct observed_instance *instance, enum server_state state);
/* Whether HAProxy has not checked its servers yet, and knows of none that is up. */
bool observed_is_unchecked(const struct observed_instance *instance);
/*
 * Whether HAProxy has told that no server is there for new connections. A HAProxy that does not
 * answer may have one.
 */
bool observed_serves_nobody(const struct observed_instance *instance);
/*
 * HAProxy before 2.8 only says that the TLS handshake failed when it refuses a certificate. For a
 * balancer that verifies certificates, this makes the reason more specific. name: the name that
 * they must have.
 */
void observed_stats_suspect_certificates(struct observed_instance *instance, const char *name);

#endif
