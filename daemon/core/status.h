/*
 * The replies of the control socket as JSON. Plain values in, objects out; the
 * caller puts the objects. Times are Unix times in ms; 0 becomes null. No field
 * can hold a secret.
 */
#ifndef APILB_CORE_STATUS_H
#define APILB_CORE_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "daemon/core/plan/observed.h"
#include "daemon/core/plan/plan.h"
#include "daemon/core/servers.h"
#include "daemon/core/spec/spec.h"

enum phase {
	PHASE_PENDING,     /* not looked at yet */
	PHASE_RECONCILING, /* a run has found something to do, and is doing it */
	PHASE_CONVERGED,
	PHASE_FAILED,
	PHASE_UNREACHABLE,
	PHASE_CONFLICT,
	PHASE_PAUSED,
	PHASE_REMOVING,
	PHASES
};

const char *phase_name(enum phase phase);

/* The version that the answering HAProxy has loaded. */
enum serves { SERVES_UNKNOWN, SERVES_WANTED, SERVES_FORMER };

struct status_instance {
	const char *id, *spec, *host, *name;
	size_t index;
	enum phase phase;
	const char *progress; /* what a run is doing now ("pulling ...: 2/5 layers"); NULL: nothing */
	const char *container_id, *image; /* container_id NULL: no container is known */
	enum container_status container_status;
	size_t draining; /* how many containers drain */
	const char *config_path, *config_sha256;
	const struct spec_server *wanted_servers; /* the servers to show, in the spec's order */
	size_t wanted_servers_n;
	const struct observed_server *servers; /* as HAProxy sees them */
	size_t servers_n;
	const struct spec_health_check *health_check; /* the wanted one; NULL: unknown */
	const struct haproxy_description *loaded;     /* by the running HAProxy; NULL: it did not say */
	const struct servers *servers_known;          /* since when they are in their states; NULL: unknown */
	bool fallback;                                /* see struct observed_instance */
	enum serves serves;
	const struct err *error; /* kind ERR_NONE or NULL: none */
	int64_t error_since_ms;
	unsigned attempts;
	int64_t observed_at_ms, changed_at_ms, next_run_at_ms;
};

/* The progress of a rollout (rollout.h). phase: "rolling", "paused", "halted", "reverted". */
struct status_rollout {
	const char *phase;
	size_t done, total, changing, unreachable, failed; /* hosts */
	const char *why;
	bool stopped; /* halted, reverted or paused */
	bool paused;  /* maybe also halted or reverted */
	int64_t since_ms;
};

struct status_spec {
	const char *name, *file;
	bool valid;
	const struct spec_error *errors;
	size_t errors_n;
	size_t instances, converged;
	const struct status_rollout *rollout; /* NULL: none */
};

struct json_object *status_instance_json(const struct status_instance *instance);
struct json_object *status_spec_json(const struct status_spec *spec);
/* { "kind", "message", "since", "attempts" }, or null. */
struct json_object *status_error_json(const struct err *error, int64_t since_ms, unsigned attempts);
/* A list of actions as `apilbctl plan` prints it: [ { "action", "target", "reason", "text" } ]. */
struct json_object *status_actions_json(const struct action *actions, size_t n);

/* "2026-01-02T03:04:05.678Z", or null for 0. */
struct json_object *status_time_json(int64_t time_ms);

#endif
