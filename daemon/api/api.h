/*
 * The endpoints of the control socket: one handler for each.
 */
#ifndef APILB_API_H
#define APILB_API_H

#include <stdint.h>

#include "daemon/fleet/fleet.h"
#include "daemon/io/control/control.h"

struct api {
	struct fleet *fleet;
	struct events *events;
	struct store *store;
	int64_t started_at_ms;
};

/* The argument of the handlers is a struct api. */
extern const struct control_route api_routes[];
/* For control_set_gate: a request is handled when all spec files written before it have been read. */
void api_gate(void *arg, struct control_request *request,
	      void (*handle)(void *arg, struct control_request *request));

/* api_plan.c, api_state.c, api_metrics.c */
void api_plan(void *arg, struct control_request *request);
/* Answers POST /v1/reconcile?plan=ID: kicks the hosts if a plan made now has the same id; else 409. */
void api_apply_plan(const struct api *api, struct control_request *request);
void api_state(void *arg, struct control_request *request);
void api_metrics(void *arg, struct control_request *request);

/* Kicks the hosts that the request asks for, and answers it. */
void api_answer_reconcile(const struct api *api, struct control_request *request);

/* The order of rows in a reply: by spec, and within a spec in the spec's order. Each row begins with one. */
struct api_order {
	const char *spec;
	size_t index;
	const char *id;
};
int api_by_order(const void *a, const void *b); /* for qsort */

/* A balancer that a request asks about. */
struct api_balancer {
	struct api_order order;
	const struct host *host;
	const struct instance *instance;
};
/* All balancers that the request asks about, in the order of api_by_order. The caller frees. */
struct api_balancer *api_balancers(const struct api *api, const struct control_request *request, size_t *n);

struct json_object;
/* Sends the object and releases it. */
void api_reply_json(struct control_request *request, int status, struct json_object *object);
/* False: ?spec= names an unknown spec, and the request has been answered with 404. */
bool api_knows_spec(const struct api *api, struct control_request *request);

#endif
