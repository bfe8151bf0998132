/*
 * What the control socket answers: the table of its endpoints.
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
/* For control_set_gate: the request is handled when all that was written before it has been read. */
void api_gate(void *arg, struct control_request *request,
	      void (*handle)(void *arg, struct control_request *request));

/* api_plan.c, api_state.c, api_metrics.c */
void api_plan(void *arg, struct control_request *request);
/* A reconcile request with ?plan=: kicks the hosts if that plan is what would be done now, else answers 409.
 */
void api_apply_plan(const struct api *api, struct control_request *request);
void api_state(void *arg, struct control_request *request);
void api_metrics(void *arg, struct control_request *request);

/* Kicks the hosts that the request asks for, and answers it. */
void api_answer_reconcile(const struct api *api, struct control_request *request);

/* The order of rows in a reply: by spec, in each one's own order. A row begins with it. */
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
/* In that order. The caller frees. */
struct api_balancer *api_balancers(const struct api *api, const struct control_request *request, size_t *n);

struct json_object;
/* Sends the object and puts it. */
void api_reply_json(struct control_request *request, int status, struct json_object *object);
/* Answers 404 when ?spec= names one that nobody knows. */
bool api_knows_spec(const struct api *api, struct control_request *request);

#endif
