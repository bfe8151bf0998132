#include "daemon/instance/server_news.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/mem.h"
#include "daemon/instance/instance_internal.h"
#include "daemon/io/clock.h"

/* Beside the resync interval: within both every balancer has looked once. */
#define SLACK_MS 5000

/* The same news of the same server, by all balancers of a spec. */
struct story {
	char *key;
	char *spec, *address;
	enum server_change change;
	size_t balancers; /* that had it to tell */
	size_t is, all;   /* at the end of the round: of which it is true, of how many */
	UT_hash_handle hh;
};

struct server_news {
	struct server_news_options options;
	struct event *timer; /* runs while there are stories */
	struct story *stories;
};

static enum log_level level_of(enum server_change change)
{
	switch (change) {
	case SERVER_CHANGE_NONE_UP:
		return LOG_LEVEL_ERROR;
	case SERVER_CHANGE_DOWN:
		return LOG_LEVEL_WARNING;
	default:
		return LOG_LEVEL_INFO;
	}
}

static void story_free(struct server_news *news, struct story *story)
{
	HASH_DEL(news->stories, story);
	free(story->key);
	free(story->spec);
	free(story->address);
	free(story);
}

static char *key_of(const char *spec, enum server_change change, const char *address)
{
	return xasprintf("%s %s %s", spec, server_change_name(change), address);
}

/* The end of a round: what is it like now, for all of them? One walk over the fleet answers for all stories.
 */

static void count(const struct server_news *news, const char *spec, enum server_change change,
		  const char *address, bool is)
{
	char *key = key_of(spec, change, address);
	struct story *story;

	HASH_FIND_STR(news->stories, key, story);
	free(key);
	if (!story)
		return;
	story->all++;
	story->is += is;
}

static void count_server(const struct server_news *news, const struct instance *instance,
			 const struct spec_server *server)
{
	char *address = haproxy_server_address(server), *name = haproxy_server_name(server);
	const struct server_memory *memory = servers_find(&instance->servers, name);
	const char *spec = instance->identity.spec;

	count(news, spec, SERVER_CHANGE_UP, address, memory && memory->state == SERVER_UP);
	count(news, spec, SERVER_CHANGE_DRAINING, address, memory && memory->draining);
	count(news, spec, SERVER_CHANGE_DOWN, address,
	      memory && memory->state == SERVER_DOWN && !memory->draining);
	free(address);
	free(name);
}

static void count_instance(struct server_news *news, const struct instance *instance)
{
	const struct wanted *wanted = instance->revision.in_force;

	for (size_t i = 0; wanted && i < wanted->instance.servers_n; i++)
		count_server(news, instance, &wanted->instance.servers[i]);
	if (!wanted)
		return;
	count(news, instance->identity.spec, SERVER_CHANGE_NONE_UP, "", instance->servers.none_up);
	count(news, instance->identity.spec, SERVER_CHANGE_SOME_UP, "", !instance->servers.none_up);
}

static void tell_story(const struct server_news *news, const struct story *story)
{
	static const char *const words[SERVER_CHANGES] = {
		[SERVER_CHANGE_DOWN] = "is down",
		[SERVER_CHANGE_DRAINING] = "gets no new connections",
		[SERVER_CHANGE_UP] = "is up",
		[SERVER_CHANGE_NONE_UP] = "no server is up",
		[SERVER_CHANGE_SOME_UP] = "servers are up",
	};

	events_add(news->options.events, level_of(story->change), story->spec, NULL,
		   server_change_name(story->change), "%s%s%s for %zu of %zu balancers", story->address,
		   *story->address ? " " : "", words[story->change], story->is, story->all);
}

static void on_round_over(evutil_socket_t fd, short what, void *arg)
{
	struct server_news *news = arg;
	struct story *story, *tmp;

	(void)fd;
	(void)what;
	HASH_ITER (hh, news->stories, story, tmp)
		if (story->balancers <= SERVER_NEWS_EACH)
			story_free(news, story);
	if (news->stories)
		news->options.each(news->options.arg, count_instance, news);
	HASH_ITER (hh, news->stories, story, tmp) {
		tell_story(news, story);
		story_free(news, story);
	}
}

static void start_round(struct server_news *news)
{
	const struct timeval end = clock_timeval(*news->options.resync_ms + SLACK_MS);

	evtimer_add(news->timer, &end);
}

/* A look. */

static struct story *story_of(struct server_news *news, const char *spec, enum server_change what,
			      const char *address)
{
	char *key = key_of(spec, what, address);
	struct story *story;

	HASH_FIND_STR(news->stories, key, story);
	if (story) {
		free(key);
		return story;
	}
	if (!news->stories)
		start_round(news);
	story = xcalloc(1, sizeof(*story));
	*story = (struct story){
		.key = key, .spec = xstrdup(spec), .address = xstrdup(address), .change = what};
	HASH_ADD_KEYPTR(hh, news->stories, story->key, strlen(story->key), story);
	return story;
}

struct teller {
	struct server_news *news;
	const struct instance *instance;
};

static void on_news(void *arg, enum server_change what, const char *address, const char *text)
{
	const struct teller *teller = arg;
	const struct instance *instance = teller->instance;

	if (++story_of(teller->news, instance->identity.spec, what, address)->balancers <= SERVER_NEWS_EACH)
		instance_tell(instance, teller->news->options.events, level_of(what),
			      server_change_name(what), text);
}

void server_news_look(struct server_news *news, struct instance *instance,
		      const struct observed_instance *observed)
{
	const struct spec_instance *wanted = &instance->revision.in_force->instance;
	struct teller teller = {news, instance};

	servers_note(&instance->servers, wanted->servers, wanted->servers_n, observed, on_news, &teller);
}

/* Its life. */

struct server_news *server_news_new(const struct server_news_options *options)
{
	struct server_news *news = xcalloc(1, sizeof(*news));

	news->options = *options;
	news->timer = evtimer_new(options->base, on_round_over, news);
	return news;
}

void server_news_free(struct server_news *news)
{
	struct story *story, *tmp;

	if (!news)
		return;
	HASH_ITER (hh, news->stories, story, tmp)
		story_free(news, story);
	event_free(news->timer);
	free(news);
}
