/* Containers that are to go, but may be all that serves: where they listen, and what becomes of them. */
#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "daemon/core/binds.h"
#include "daemon/io/clock.h"
#include "daemon/run/job_internal.h"

/* stats: asks the HAProxy of such a container, since nobody else knows what it does. */

/* Most answer at once; one that does not may be draining. */
#define LEAVER_TIMEOUT_MS 2000
/* For all such containers together, in one look: the balancers of the host wait meanwhile. */
#define LEAVERS_PATIENCE_MS 5000

/* The container of a target that is to go; NULL: there is none. */
static const struct observed_container *container_of(const struct job_target *target)
{
	const struct observed_instance *observed = &target->result.observed;

	if (observed->current)
		return observed->current;
	if (observed->next)
		return observed->next;
	return job_target_is_found(target) && observed->old_n > 0 ? observed->old[0] : NULL;
}

/* This daemon has told the container to drain: nothing more need be asked. */
static bool is_known_to_drain(const struct job_target *target, const struct observed_container *container)
{
	return draining_has(&target->memory.draining, container->id);
}

const struct observed_container *job_to_be_asked(const struct job_target *target)
{
	const struct observed_container *container = container_of(target);
	bool matters = !target->order.wanted && (job_target_is_found(target) || target->order.removal_held);

	return matters && container && container->status == CONTAINER_RUNNING &&
			       !is_known_to_drain(target, container)
		       ? container
		       : NULL;
}

enum { LEAVER_ASK, LEAVER_DONE };

static void leaver_done(struct job *job)
{
	job->step = LEAVER_DONE;
	job_run(job);
}

/* Only a closed socket says that HAProxy drains. One that may not be opened, or that is slow, says nothing.
 */
static void leaver_silent(struct job *job, const struct err *err)
{
	job_current(job)->result.observed.stats = err->nobody_listens ? STATS_CLOSED : STATS_FAILED;
	job->waited_for_leavers_ms += clock_ms() - job->asked.ms;
	leaver_done(job);
}

static void on_leaver(void *arg, const char *text, size_t len, const struct err *err)
{
	struct job *job = arg;

	(void)len;
	job->query = NULL;
	if (err) {
		leaver_silent(job, err);
		return;
	}
	observed_stats_parse(&job_current(job)->result.observed, text);
	leaver_done(job);
}

static void on_leaver_open(void *arg, struct bufferevent *stream, const struct err *err)
{
	struct job *job = arg;

	job->opening = NULL;
	if (err)
		leaver_silent(job, err);
	else
		job->query = haproxy_query(stream, "show info;show stat", LEAVER_TIMEOUT_MS, on_leaver, job);
}

enum step job_ask_leaver(struct job *job, struct job_target *target)
{
	const struct observed_container *asked = job_to_be_asked(target);
	const char *made_as = asked ? observed_made_as(asked) : NULL;
	char *path;

	if (!made_as || !asked->token[0] || job->step == LEAVER_DONE ||
	    job->waited_for_leavers_ms >= LEAVERS_PATIENCE_MS)
		return STEP_NEXT;
	job->asked = job_clock();
	path = haproxy_socket_path(made_as, asked->token);
	job->opening = job->options.open(job->options.arg, path, LEAVER_TIMEOUT_MS, on_leaver_open, job);
	free(path);
	return STEP_WAIT;
}

/* plan: what becomes of found targets (core/found.h). */

bool job_is_as_wanted(const struct job_target *target)
{
	return target->result.err.kind == ERR_NONE && target->result.look != LOOK_LEAVE &&
	       target->result.plan.n == 0 && target->result.plan.trouble.kind == ERR_NONE &&
	       target->result.observed.current;
}

/* Addresses of a found container. */
struct addresses {
	struct spec_bind *v;
	size_t n;
};

static bool takes_any(const struct wanted *wanted, const struct addresses *addresses)
{
	for (size_t i = 0; wanted && i < addresses->n; i++)
		if (binds_meet(wanted->instance.binds, wanted->instance.binds_n, &addresses->v[i]))
			return true;
	return false;
}

static struct found_peer peer_of(const struct wanted *wanted, const struct addresses *addresses)
{
	return (struct found_peer){
		.id = wanted->instance.id,
		.spec = wanted->spec,
		.binds = wanted->description.binds,
		.drain_ms = wanted->instance.timeouts.drain_ms,
		.takes_address = takes_any(wanted, addresses),
	};
}

/* The wanted balancers of the host, and those that are to come, for core/found. The caller frees. */
static struct found_peer *peers_on_host(const struct job *job, const struct job_target *found, size_t *n)
{
	struct found_peer *peers = xcalloc(job->n + job->options.to_come_n, sizeof(*peers));
	const struct observed_container *container = container_of(found);
	const char *label = container && container->binds ? container->binds : "";
	struct addresses addresses;

	addresses.v = binds_parse(label, &addresses.n);
	*n = 0;
	for (size_t i = 0; i < job->n; i++) {
		const struct job_target *target = &job->targets[i];
		const struct observed_instance *observed = &target->result.observed;
		struct found_peer *peer = &peers[*n];

		if (!target->order.wanted)
			continue;
		*peer = peer_of(target->order.wanted, &addresses);
		peer->takes_address |= takes_any(target->order.next, &addresses);
		peer->as_wanted = job_is_as_wanted(target);
		peer->unchecked = observed_is_unchecked(observed);
		peer->servers_up = observed_servers_in(observed, SERVER_UP);
		++*n;
	}
	for (size_t i = 0; i < job->options.to_come_n; i++)
		peers[(*n)++] = peer_of(job->to_come[i], &addresses);
	binds_free(addresses.v, addresses.n);
	return peers;
}

/* A draining HAProxy closes its stats socket, or says that it is stopping. One that was not asked says
 * nothing. */
static bool drains(const struct job_target *target, const struct observed_container *container)
{
	const struct observed_instance *observed = &target->result.observed;

	return observed->stopping || is_known_to_drain(target, container) ||
	       (observed->old_n > 0 && observed->stats == STATS_CLOSED);
}

static struct found found_of(const struct job_target *target)
{
	const struct observed_instance *observed = &target->result.observed;
	const struct observed_container *container = container_of(target);

	return (struct found){
		.stray_of = target->stray_of,
		.spec = target->orphan_of ? target->orphan_of : "",
		.binds = observed->loaded.binds,
		.up = observed_is_up(container),
		.succeeded = observed->old_n > 0,
		.drains = container && drains(target, container),
		.serves_nobody = observed_serves_nobody(observed),
	};
}

int64_t job_found_drain_ms(const struct job *job, const struct job_target *target)
{
	const struct found found = found_of(target);
	size_t n;
	struct found_peer *peers = peers_on_host(job, target, &n);
	int64_t elsewhere_ms =
		job->options.drain_ms ? job->options.drain_ms(job->options.arg, found.spec) : 0;
	int64_t ms = found_drain_ms(&found, peers, n, elsewhere_ms);

	free(peers);
	return ms;
}

void job_judge_found(const struct job *job, struct job_target *target)
{
	const struct found found = found_of(target);
	size_t n;
	struct found_peer *peers = peers_on_host(job, target, &n);

	target->fate = found_fate(&found, peers, n);
	free(peers);
}

bool job_found_stays(const struct job_target *target)
{
	return job_target_is_found(target) && target->result.plan.n > 0 && found_stays(target->fate);
}

/* The end of a run: what is told of found targets, and what the next run must know. */

char *job_waiting(const struct job *job)
{
	const char *first = NULL;
	size_t n = 0;

	for (size_t i = job->n - job->found; i < job->n; i++)
		if (job_found_stays(&job->targets[i]) && n++ == 0)
			first = job->targets[i].order.name;
	return job_counted(first, n);
}

bool job_left_found(const struct job *job)
{
	for (size_t i = job->n - job->found; i < job->n && job->more_to_find; i++)
		if (job->targets[i].result.changed)
			return true;
	return false;
}

static const struct job_target *find_found(const struct job *job, const char *id)
{
	for (size_t i = job->n - job->found; i < job->n; i++)
		if (strcmp(job->targets[i].found_id, id) == 0)
			return &job->targets[i];
	return NULL;
}

void job_note_draining(const struct job *job, struct draining *draining)
{
	struct draining now = {0};

	for (size_t i = job->n - job->found; i < job->n; i++)
		draining_copy_of(&now, &job->targets[i].memory.draining, job->targets[i].found_id);
	/* Draining containers that this run has not taken on. */
	for (size_t i = 0; i < draining->n; i++) {
		const char *id = draining->v[i].id;

		if (!find_found(job, id) && job_may_be_listed(job, id))
			draining_copy_of(&now, draining, id);
	}
	draining_clear(draining);
	*draining = now;
}
