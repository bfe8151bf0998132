/*
 * What balancers see of their API servers, told so that it can be read.
 *
 * When an API server goes, every balancer of the fleet sees it within a resync
 * interval. The first few tell it themselves; of the others there is one event
 * for the server and spec, once all had the time to look: "10.0.0.1:6443 is down for
 * 998 of 1000 balancers".
 */
#ifndef APILB_SERVER_NEWS_H
#define APILB_SERVER_NEWS_H

#include "daemon/core/servers.h"
#include "daemon/instance/instance.h"

struct event_base;
struct server_news;

/* So many balancers tell the same themselves. */
#define SERVER_NEWS_EACH 10

typedef void server_news_visit(struct server_news *news, const struct instance *instance);

/* All of them outlive it. */
struct server_news_options {
	struct event_base *base;
	struct events *events;
	const int64_t *resync_ms; /* it may change */
	/* Calls visit for every balancer of the fleet. */
	void (*each)(void *arg, server_news_visit *visit, struct server_news *news);
	void *arg;
};

struct server_news *server_news_new(const struct server_news_options *options);
void server_news_free(struct server_news *news); /* NULL is fine */

/* A look at this balancer has ended, with this observation of what it wants. */
void server_news_look(struct server_news *news, struct instance *instance,
		      const struct observed_instance *observed);

#endif
