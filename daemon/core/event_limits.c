#include "daemon/core/event_limits.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "common/mem.h"

/* One event costs COST; each millisecond adds EVENT_RATE_PER_MIN. So no time is lost to rounding. */
#define COST (60 * 1000)
#define FULL ((int64_t)EVENT_BURST * COST)

struct bucket {
	char *key, *spec, *host;
	int64_t level; /* events that may still pass, times COST */
	int64_t at_ms; /* when level was true */
	uint64_t left_out;
	UT_hash_handle hh;
};

struct event_limits {
	struct bucket *buckets;
};

struct event_limits *event_limits_new(void)
{
	return xcalloc(1, sizeof(struct event_limits));
}

static void bucket_free(struct event_limits *limits, struct bucket *bucket)
{
	HASH_DEL(limits->buckets, bucket);
	free(bucket->key);
	free(bucket->spec);
	free(bucket->host);
	free(bucket);
}

void event_limits_free(struct event_limits *limits)
{
	struct bucket *bucket, *next;

	if (!limits)
		return;
	HASH_ITER (hh, limits->buckets, bucket, next)
		bucket_free(limits, bucket);
	free(limits);
}

static struct bucket *bucket_of(struct event_limits *limits, const char *spec, const char *host,
				int64_t now_ms)
{
	/* Neither part contains a blank. */
	char *key = xasprintf("%s %s", spec ? spec : "", host ? host : "");
	struct bucket *bucket;

	HASH_FIND_STR(limits->buckets, key, bucket);
	if (bucket) {
		free(key);
		return bucket;
	}
	bucket = xcalloc(1, sizeof(*bucket));
	*bucket = (struct bucket){
		.key = key, .spec = xstrdup(spec), .host = xstrdup(host), .level = FULL, .at_ms = now_ms};
	HASH_ADD_KEYPTR(hh, limits->buckets, bucket->key, strlen(bucket->key), bucket);
	return bucket;
}

static void refill(struct bucket *bucket, int64_t now_ms)
{
	int64_t passed_ms = now_ms > bucket->at_ms ? now_ms - bucket->at_ms : 0;

	/* The bucket is full long before this could overflow. */
	if (passed_ms > FULL / EVENT_RATE_PER_MIN)
		bucket->level = FULL;
	else
		bucket->level += passed_ms * EVENT_RATE_PER_MIN;
	if (bucket->level > FULL)
		bucket->level = FULL;
	bucket->at_ms = now_ms;
}

bool event_limits_pass(struct event_limits *limits, const char *spec, const char *host, int64_t now_ms)
{
	struct bucket *bucket = bucket_of(limits, spec, host, now_ms);

	refill(bucket, now_ms);
	if (bucket->level < COST) {
		bucket->left_out++;
		return false;
	}
	bucket->level -= COST;
	return true;
}

void event_limits_sweep(struct event_limits *limits, int64_t now_ms, event_left_out_cb *cb, void *arg)
{
	struct bucket *bucket, *next;

	HASH_ITER (hh, limits->buckets, bucket, next) {
		refill(bucket, now_ms);
		if (bucket->left_out > 0)
			cb(arg, bucket->spec, bucket->host, bucket->left_out);
		bucket->left_out = 0;
		if (bucket->level == FULL)
			bucket_free(limits, bucket);
	}
}

size_t event_limits_count(const struct event_limits *limits)
{
	return HASH_COUNT(limits->buckets);
}
