/*
 * The reply to GET /v1/status as plain values. Pure; the strings belong to the
 * JSON, which belongs to the status.
 */
#ifndef APILB_CTL_STATUS_H
#define APILB_CTL_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "ctl/style.h"

struct json_object;

/* What a phase means to somebody who looks or waits. In the order of the table: balancers that need a person
 * come first. */
struct phase {
	const char *name;
	enum colour colour;
	bool final; /* a run has ended in this phase; the next run begins by itself */
};

struct balancer {
	const char *id, *spec, *host, *name, *image;
	const char *phase_name;
	const struct phase *phase;
	bool converged;
	size_t servers, servers_known, servers_up;
	bool none_up;         /* all servers are known to be down */
	bool untested;        /* the servers are down, and get the traffic all the same */
	bool verifies;        /* health checks verify the API servers' certificates */
	bool unguarded;       /* HAProxy has no Lua to run guard.lua with */
	bool trusting;        /* health checks verify nothing, and the spec does not say that this is meant */
	const char *serves;   /* the version that runs: "wanted", "former", or "" */
	const char *error;    /* lastError.message, or NULL */
	const char *progress; /* what is going on right now, or NULL */
	struct json_object *servers_list;
	int64_t observed_ms, changed_ms; /* -1: not yet */
};

/* A change that goes over the hosts of a spec, or is held. */
struct rollout_status {
	const char *phase; /* NULL: there is none */
	bool stopped;      /* somebody must resume it */
	size_t done, total;
	const char *why;
};

struct spec_status {
	const char *name, *file;
	bool valid;
	struct json_object *errors;
	struct rollout_status rollout;
};

struct status {
	struct json_object *json;
	const char *version;
	bool ready;                 /* false: the daemon has not read its specs yet */
	struct balancer *balancers; /* those without a server up, then those that need a person, else by id */
	size_t balancers_n;
	struct spec_status *specs;
	size_t specs_n;
	struct json_object *troubles; /* of the daemon itself: texts; NULL: none */
	struct json_object *warnings; /* what may not be meant so: texts; NULL: none */
};

/* Takes ownership of json. JSON that is no status is an ERR_UNREACHABLE: what answered is not apilbd. */
int status_parse(struct status *status, struct json_object *json, struct err *err);
/* Another view of the same JSON. */
void status_copy(struct status *to, const struct status *from);
void status_clear(struct status *status);

size_t status_count_none_up(const struct status *status);

/* Whether the balancer works as far as anybody can tell: it has converged, and no server is known to be down.
 */
bool balancer_is_well(const struct balancer *balancer);

bool status_has_spec(const struct status *status, const char *name);
size_t status_count_invalid(const struct status *status);
size_t status_count_converged(const struct status *status);
/* How many rollouts go on by themselves; hosts that are as wanted may still be settling. */
size_t status_count_rolling(const struct status *status);
/* How many rollouts need a person. A pause that holds no change does not count. */
size_t status_count_stopped(const struct status *status);

#endif
