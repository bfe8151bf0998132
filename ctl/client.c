#include "ctl/client.h"

#include <curl/curl.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "common/mem.h"
#include "common/text.h"
#include "ctl/absent.h"
#include "ctl/json.h"
#include "ctl/timestamp.h"

struct client {
	CURL *curl;
	char *socket_path;
};

/* One request and its reply. The body is collected until it is complete; with on_line, only until a line is
 * complete. */
struct exchange {
	const struct client *client;
	const struct client_request *request;
	char *body;
	size_t len, size;
	bool too_long;
	bool begun; /* the head of the reply has arrived */
	int64_t deadline_ms;
	int (*on_line)(void *arg, const char *line);
	void *arg;
	bool enough; /* on_line has ended the request */
};

struct client *client_new(const char *socket_path)
{
	struct client *client = xcalloc(1, sizeof(*client));

	client->socket_path = xstrdup(socket_path);
	client->curl = curl_easy_init();
	if (!client->curl)
		abort(); /* out of memory, as in mem.c */
	return client;
}

void client_free(struct client *client)
{
	if (!client)
		return;
	curl_easy_cleanup(client->curl);
	free(client->socket_path);
	free(client);
}

static char *make_url(CURL *curl, const struct client_request *request)
{
	char *text;
	size_t len;
	FILE *url = text_open(&text, &len);
	char separator = '?';

	fprintf(url, "http://apilb%s", request->path);
	for (const struct client_param *p = request->params; p && p->name; p++) {
		char *value;

		if (!p->value)
			continue;
		value = curl_easy_escape(curl, p->value, 0);
		fprintf(url, "%c%s=%s", separator, p->name, value ? value : "");
		curl_free(value);
		separator = '&';
	}
	text_close(url);
	return text;
}

static bool is_success(CURL *curl)
{
	long status = 0;

	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	return status >= 200 && status < 300;
}

/* Passes every complete line to on_line and keeps the rest. `from`: where to begin to look for a newline. */
static void hand_out_lines(struct exchange *x, size_t from)
{
	char *line = x->body, *end;

	while (!x->enough && (end = memchr(x->body + from, '\n', x->len - from))) {
		*end = '\0';
		x->enough = x->on_line(x->arg, line) != 0;
		line = end + 1;
		from = (size_t)(line - x->body);
	}
	x->len -= (size_t)(line - x->body);
	memmove(x->body, line, x->len);
}

static size_t on_body(char *data, size_t one, size_t n, void *arg)
{
	struct exchange *x = arg;
	size_t before = x->len;

	(void)one;
	x->begun = true;
	if (n > CLIENT_MAX_REPLY_BYTES - x->len) {
		x->too_long = true;
		return 0;
	}
	while (x->size < x->len + n + 1) {
		x->size = x->size ? x->size * 2 : 16384;
		x->body = xrealloc(x->body, x->size);
	}
	memcpy(x->body + x->len, data, n);
	x->len += n;
	if (x->on_line && is_success(x->client->curl))
		hand_out_lines(x, before);
	x->body[x->len] = '\0';
	return x->enough ? 0 : n;
}

static size_t on_header(char *data, size_t one, size_t n, void *arg)
{
	struct exchange *x = arg;

	(void)data;
	(void)one;
	x->begun = true;
	return n;
}

/* curl's own timeout is for the whole reply. A stream of events has no end, so only its beginning has a
 * timeout. */
static int on_progress(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
	const struct exchange *x = arg;

	(void)a, (void)b, (void)c, (void)d;
	return !x->begun && timestamp_steady_ms() > x->deadline_ms;
}

static void set_up(struct exchange *x, const char *url, char *detail)
{
	CURL *curl = x->client->curl;

	curl_easy_reset(curl); /* keep the connection */
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, x->client->socket_path);
	curl_easy_setopt(curl, CURLOPT_PROXY, ""); /* never use a proxy, whatever http_proxy says */
	curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, detail);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, x);
	curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(curl, CURLOPT_HEADERDATA, x);
	if (strcmp(x->request->method, "POST") == 0)
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, "");
	if (x->on_line) {
		curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
		curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
		curl_easy_setopt(curl, CURLOPT_XFERINFODATA, x);
	} else {
		curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)x->request->timeout_ms);
	}
}

/* The number of values is not limited: it grows with the fleet. */
static const struct json_limits reply_limits = {.bytes = CLIENT_MAX_REPLY_BYTES};

/* The daemon's own words, from { "error": "..." }, or a description of the reply if it has none. */
static int refused(const struct exchange *x, struct err *err)
{
	struct json_object *body = x->body ? json_parse(x->body, x->len, &reply_limits, err) : NULL;
	const char *error = json_text(body, "error", NULL);
	long status = 0;

	curl_easy_getinfo(x->client->curl, CURLINFO_RESPONSE_CODE, &status);
	if (error)
		err_set(err, ERR_PERMANENT, "%s", error);
	else
		err_set(err, ERR_PERMANENT, "%s %s: apilbd answers with status %ld", x->request->method,
			x->request->path, status);
	json_object_put(body);
	return -1;
}

static int judge(const struct exchange *x, CURLcode code, const char *detail, struct err *err)
{
	struct absence absence = {
		.socket_path = x->client->socket_path,
		.method = x->request->method,
		.path = x->request->path,
		.code = code,
		.detail = detail,
		.timeout_ms = x->request->timeout_ms,
	};

	if (x->enough)
		return 0;
	if (x->too_long)
		return err_set(err, ERR_UNREACHABLE,
			       "%s %s: the answer is longer than %u MB, which apilbd's is not",
			       absence.method, absence.path, CLIENT_MAX_REPLY_BYTES >> 20);
	if (code != CURLE_OK) {
		curl_easy_getinfo(x->client->curl, CURLINFO_OS_ERRNO, &absence.os_errno);
		return absence_explain(&absence, err);
	}
	return is_success(x->client->curl) ? 0 : refused(x, err);
}

static int perform(struct exchange *x, struct err *err)
{
	char detail[CURL_ERROR_SIZE] = "";
	char *url;
	int rc;

	if (strlen(x->client->socket_path) >= sizeof(((struct sockaddr_un *)0)->sun_path))
		return err_set(err, ERR_SPEC, "--socket: a path of a socket has at most %zu bytes: %s",
			       sizeof(((struct sockaddr_un *)0)->sun_path) - 1, x->client->socket_path);
	url = make_url(x->client->curl, x->request);
	x->deadline_ms = timestamp_steady_ms() + x->request->timeout_ms;
	set_up(x, url, detail);
	rc = judge(x, curl_easy_perform(x->client->curl), detail, err);
	free(url);
	return rc;
}

char *client_text(struct client *client, const struct client_request *request, struct err *err)
{
	struct exchange x = {.client = client, .request = request};

	if (perform(&x, err) < 0)
		FREE(x.body);
	else if (!x.body)
		x.body = xstrdup("");
	return x.body;
}

struct json_object *client_json(struct client *client, const struct client_request *request, struct err *err)
{
	struct json_object *json;
	struct err why;
	char *text = client_text(client, request, err);

	if (!text)
		return NULL;
	json = json_parse(text, strlen(text), &reply_limits, &why);
	if (!json_as_map(json)) {
		err_set(err, ERR_UNREACHABLE,
			"what answers at %s is not apilbd: its reply to %s %s is no JSON object%s%s",
			client->socket_path, request->method, request->path, json ? "" : ": ",
			json ? "" : why.message);
		json_object_put(json);
		json = NULL;
	}
	free(text);
	return json;
}

int client_lines(struct client *client, const struct client_request *request,
		 int (*on_line)(void *arg, const char *line), void *arg, struct err *err)
{
	struct exchange x = {.client = client, .request = request, .on_line = on_line, .arg = arg};
	int rc = perform(&x, err);

	free(x.body);
	return rc;
}
