#include "daemon/core/spec/spec_types.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/duration.h"
#include "common/mem.h"
#include "common/text.h"
#include "daemon/core/spec/spec_syntax.h"

/* Texts. */

static void string_store(void *member, const char *text)
{
	*(char **)member = xstrdup(text);
}

static void string_copy(void *to, const void *from)
{
	*(char **)to = xstrdup(*(char *const *)from);
}

static void string_clear(void *member)
{
	FREE(*(char **)member);
}

static void secret_clear(void *member)
{
	secret_free(*(char **)member);
	*(char **)member = NULL;
}

static bool string_equal(const void *a, const void *b)
{
	return text_equal(*(char *const *)a, *(char *const *)b);
}

static char *string_text(const void *member)
{
	return xstrdup(*(char *const *)member);
}

static const struct spec_storage storage_string = {
	sizeof(char *), string_store, string_copy, string_clear, string_equal, string_text,
};

static const struct spec_storage storage_secret = {
	sizeof(char *), string_store, string_copy, secret_clear, string_equal, string_text,
};

/* Texts that are stored in another form. */

static void address_store(void *member, const char *text)
{
	struct err err;

	address_parse(text, member, &err);
}

static int address_check(const char *text, struct err *err)
{
	char *address;
	int rc = address_parse(text, &address, err);

	free(address);
	return rc;
}

static const struct spec_storage storage_address = {
	sizeof(char *), address_store, string_copy, string_clear, string_equal, string_text,
};

static void engine_store(void *member, const char *text)
{
	*(char **)member = xstrdup(engine_path(text));
}

static char *engine_text(const void *member)
{
	const char *path = *(char *const *)member;

	return path ? xasprintf("unix://%s", path) : NULL;
}

static const struct spec_storage storage_engine = {
	sizeof(char *), engine_store, string_copy, string_clear, string_equal, engine_text,
};

/* Numbers. */

static void port_store(void *member, const char *text)
{
	*(uint16_t *)member = (uint16_t)strtoul(text, NULL, 10);
}

static void port_copy(void *to, const void *from)
{
	*(uint16_t *)to = *(const uint16_t *)from;
}

static void port_clear(void *member)
{
	*(uint16_t *)member = 0;
}

static bool port_equal(const void *a, const void *b)
{
	return *(const uint16_t *)a == *(const uint16_t *)b;
}

static char *port_text(const void *member)
{
	return xasprintf("%u", *(const uint16_t *)member);
}

static const struct spec_storage storage_port = {
	sizeof(uint16_t), port_store, port_copy, port_clear, port_equal, port_text,
};

static void count_store(void *member, const char *text)
{
	*(unsigned *)member = (unsigned)strtoul(text, NULL, 10);
}

static void count_copy(void *to, const void *from)
{
	*(unsigned *)to = *(const unsigned *)from;
}

static void count_clear(void *member)
{
	*(unsigned *)member = 0;
}

static bool count_equal(const void *a, const void *b)
{
	return *(const unsigned *)a == *(const unsigned *)b;
}

static char *count_text(const void *member)
{
	return xasprintf("%u", *(const unsigned *)member);
}

static const struct spec_storage storage_count = {
	sizeof(unsigned), count_store, count_copy, count_clear, count_equal, count_text,
};

static void flag_store(void *member, const char *text)
{
	*(bool *)member = strcmp(text, "true") == 0;
}

static void flag_copy(void *to, const void *from)
{
	*(bool *)to = *(const bool *)from;
}

static void flag_clear(void *member)
{
	*(bool *)member = false;
}

static bool flag_equal(const void *a, const void *b)
{
	return *(const bool *)a == *(const bool *)b;
}

static char *flag_text(const void *member)
{
	return xstrdup(*(const bool *)member ? "true" : "false");
}

static const struct spec_storage storage_flag = {
	sizeof(bool), flag_store, flag_copy, flag_clear, flag_equal, flag_text,
};

static void duration_store(void *member, const char *text)
{
	struct err err;

	duration_parse_ms(text, member, &err);
}

static void duration_copy(void *to, const void *from)
{
	*(int64_t *)to = *(const int64_t *)from;
}

static void duration_clear(void *member)
{
	*(int64_t *)member = 0;
}

static bool duration_equal(const void *a, const void *b)
{
	return *(const int64_t *)a == *(const int64_t *)b;
}

static char *duration_text(const void *member)
{
	return xasprintf("%" PRId64 "ms", *(const int64_t *)member);
}

static const struct spec_storage storage_duration = {
	sizeof(int64_t), duration_store, duration_copy, duration_clear, duration_equal, duration_text,
};

static void checking_store(void *member, const char *text)
{
	*(enum host_key_checking *)member = host_key_checking_parse(text);
}

static void checking_copy(void *to, const void *from)
{
	*(enum host_key_checking *)to = *(const enum host_key_checking *)from;
}

static void checking_clear(void *member)
{
	*(enum host_key_checking *)member = HOST_KEY_ACCEPT_NEW;
}

static bool checking_equal(const void *a, const void *b)
{
	return *(const enum host_key_checking *)a == *(const enum host_key_checking *)b;
}

static char *checking_text(const void *member)
{
	return xstrdup(host_key_checking_name(*(const enum host_key_checking *)member));
}

static const struct spec_storage storage_checking = {
	sizeof(enum host_key_checking),
	checking_store,
	checking_copy,
	checking_clear,
	checking_equal,
	checking_text,
};

static void share_store(void *member, const char *text)
{
	struct spec_share *share = member;

	share->n = (uint32_t)strtoul(text, NULL, 10);
	share->percent = strchr(text, '%') != NULL;
}

static void share_copy(void *to, const void *from)
{
	*(struct spec_share *)to = *(const struct spec_share *)from;
}

static void share_clear(void *member)
{
	*(struct spec_share *)member = (struct spec_share){0};
}

static bool share_equal(const void *a, const void *b)
{
	const struct spec_share *x = a, *y = b;

	return x->n == y->n && x->percent == y->percent;
}

static char *share_text(const void *member)
{
	const struct spec_share *share = member;

	return xasprintf("%" PRIu32 "%s", share->n, share->percent ? "%" : "");
}

static const struct spec_storage storage_share = {
	sizeof(struct spec_share), share_store, share_copy, share_clear, share_equal, share_text,
};

static void on_failure_store(void *member, const char *text)
{
	*(enum rollout_failure *)member = on_failure_parse(text);
}

static void on_failure_copy(void *to, const void *from)
{
	*(enum rollout_failure *)to = *(const enum rollout_failure *)from;
}

static void on_failure_clear(void *member)
{
	*(enum rollout_failure *)member = ROLLOUT_HALT;
}

static bool on_failure_equal(const void *a, const void *b)
{
	return *(const enum rollout_failure *)a == *(const enum rollout_failure *)b;
}

static char *on_failure_text(const void *member)
{
	return xstrdup(on_failure_name(*(const enum rollout_failure *)member));
}

static const struct spec_storage storage_on_failure = {
	sizeof(enum rollout_failure),
	on_failure_store,
	on_failure_copy,
	on_failure_clear,
	on_failure_equal,
	on_failure_text,
};

/* Elements of lists. */

static int server_check(const char *text, struct err *err)
{
	struct spec_server server;
	int rc = server_parse(text, &server, err);

	server_clear(&server);
	return rc;
}

static void server_store(void *member, const char *text)
{
	struct err err;

	server_parse(text, member, &err);
}

static void server_copy(void *to, const void *from)
{
	*(struct spec_server *)to = *(const struct spec_server *)from;
	string_copy(&((struct spec_server *)to)->host, &((const struct spec_server *)from)->host);
}

static void server_free(void *member)
{
	server_clear(member);
}

static bool server_equal(const void *a, const void *b)
{
	const struct spec_server *x = a, *y = b;

	return x->port == y->port && strcmp(x->host, y->host) == 0;
}

static char *server_text(const void *member)
{
	const struct spec_server *server = member;

	return xasprintf(server->ipv6 ? "[%s]:%u" : "%s:%u", server->host, server->port);
}

static const struct spec_storage storage_server = {
	sizeof(struct spec_server), server_store, server_copy, server_free, server_equal, server_text,
};

static int bind_check(const char *text, struct err *err)
{
	struct spec_bind bind;
	int rc = bind_parse(text, &bind, err);

	bind_clear(&bind);
	return rc;
}

static void bind_store(void *member, const char *text)
{
	struct err err;

	bind_parse(text, member, &err);
}

static void bind_copy(void *to, const void *from)
{
	*(struct spec_bind *)to = *(const struct spec_bind *)from;
	string_copy(&((struct spec_bind *)to)->ip, &((const struct spec_bind *)from)->ip);
}

static void bind_free(void *member)
{
	bind_clear(member);
}

static bool bind_equal(const void *a, const void *b)
{
	const struct spec_bind *x = a, *y = b;

	return x->port == y->port && strcmp(x->ip, y->ip) == 0;
}

static char *bind_text(const void *member)
{
	const struct spec_bind *bind = member;

	return xasprintf(bind->ipv6 ? "[%s]:%u" : "%s:%u", bind->ip, bind->port);
}

static const struct spec_storage storage_bind = {
	sizeof(struct spec_bind), bind_store, bind_copy, bind_free, bind_equal, bind_text,
};

static int statuses_check(const char *text, struct err *err)
{
	struct spec_statuses statuses;

	return statuses_parse(text, &statuses, err);
}

static void statuses_store(void *member, const char *text)
{
	struct err err;

	statuses_parse(text, member, &err);
}

static void statuses_copy(void *to, const void *from)
{
	*(struct spec_statuses *)to = *(const struct spec_statuses *)from;
}

static void statuses_clear(void *member)
{
	*(struct spec_statuses *)member = (struct spec_statuses){0};
}

static bool statuses_equal(const void *a, const void *b)
{
	const struct spec_statuses *x = a, *y = b;

	return x->from == y->from && x->to == y->to;
}

static char *statuses_text(const void *member)
{
	const struct spec_statuses *statuses = member;

	return xasprintf("%u-%u", statuses->from, statuses->to);
}

static const struct spec_storage storage_statuses = {
	sizeof(struct spec_statuses),
	statuses_store,
	statuses_copy,
	statuses_clear,
	statuses_equal,
	statuses_text,
};

/* Values that are only checked. */

static int bool_check(const char *text, struct err *err)
{
	if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0)
		return 0;
	return err_set(err, ERR_SPEC, "must be true or false");
}

static int int_check(const char *text, struct err *err)
{
	size_t sign = *text == '-';
	size_t len = strspn(text + sign, "0123456789");

	if (len > 0 && len <= 18 && !text[sign + len])
		return 0;
	return err_set(err, ERR_SPEC, "must be a whole number");
}

const struct spec_type type_image = {SHAPE_TEXT, syntax_image, false, &storage_string};
const struct spec_type type_container_name = {SHAPE_TEXT, syntax_container_name, false, &storage_string};
const struct spec_type type_container_id = {SHAPE_TEXT, syntax_container_id, false, &storage_string};
const struct spec_type type_config_path = {SHAPE_TEXT, syntax_config_path, false, &storage_string};
const struct spec_type type_servers = {SHAPE_LIST, server_check, false, &storage_server};
const struct spec_type type_binds = {SHAPE_TEXT_OR_LIST, bind_check, false, &storage_bind};
const struct spec_type type_address = {SHAPE_TEXT, address_check, false, &storage_address};
const struct spec_type type_port = {SHAPE_TEXT, syntax_port, true, &storage_port};
const struct spec_type type_user = {SHAPE_TEXT, syntax_user, false, &storage_string};
const struct spec_type type_password = {SHAPE_TEXT, syntax_text, false, &storage_secret};
const struct spec_type type_private_key = {SHAPE_TEXT, syntax_private_key, false, &storage_secret};
const struct spec_type type_file = {SHAPE_TEXT, syntax_file, false, &storage_string};
const struct spec_type type_duration = {SHAPE_TEXT, syntax_duration, false, &storage_duration};
const struct spec_type type_haproxy_time = {SHAPE_TEXT, syntax_haproxy_time, false, &storage_duration};
const struct spec_type type_host_key = {SHAPE_TEXT, syntax_host_key, false, &storage_string};
const struct spec_type type_host_key_checking = {SHAPE_TEXT, syntax_host_key_checking, false,
						 &storage_checking};
const struct spec_type type_engine = {SHAPE_TEXT, syntax_engine, false, &storage_engine};
const struct spec_type type_count = {SHAPE_TEXT, syntax_count, true, &storage_count};
const struct spec_type type_share = {SHAPE_TEXT, syntax_share, false, &storage_share};
const struct spec_type type_delay = {SHAPE_TEXT, syntax_delay, false, &storage_duration};
const struct spec_type type_on_failure = {SHAPE_TEXT, syntax_on_failure, false, &storage_on_failure};
const struct spec_type type_check_path = {SHAPE_TEXT, syntax_check_path, false, &storage_string};
const struct spec_type type_check_count = {SHAPE_TEXT, syntax_check_count, true, &storage_count};
const struct spec_type type_statuses = {SHAPE_TEXT_OR_LIST, statuses_check, false, &storage_statuses};
const struct spec_type type_certificates = {SHAPE_TEXT, syntax_certificates, false, &storage_string};
const struct spec_type type_server_name = {SHAPE_TEXT, syntax_server_name, false, &storage_string};
const struct spec_type type_flag = {SHAPE_TEXT, bool_check, true, &storage_flag};
const struct spec_type type_max_connections = {SHAPE_TEXT, syntax_max_connections, true, &storage_count};
const struct spec_type type_balance = {SHAPE_TEXT, syntax_balance, false, &storage_string};
const struct spec_type type_extra_lines = {SHAPE_TEXT_OR_LIST, syntax_extra_lines, false, &storage_string};
const struct spec_type type_group = {.shape = SHAPE_GROUP};
const struct spec_type type_pointer = {.shape = SHAPE_POINTER};

const struct spec_type type_any_text = {SHAPE_TEXT, syntax_any_text, false, NULL};
const struct spec_type type_texts = {SHAPE_LIST, syntax_any_text, false, NULL};
const struct spec_type type_bool = {SHAPE_TEXT, bool_check, true, NULL};
const struct spec_type type_int = {SHAPE_TEXT, int_check, true, NULL};
const struct spec_type type_map = {.shape = SHAPE_MAP};
const struct spec_type type_maps = {.shape = SHAPE_MAPS};
const struct spec_type type_text_map = {SHAPE_TEXT_MAP, syntax_any_text, false, NULL};
const struct spec_type type_map_map = {.shape = SHAPE_MAP_MAP};

int type_check_recalled(const struct spec_type *type, const char *text, struct err *err)
{
	return type == &type_config_path ? syntax_recalled_path(text, err) : type->check(text, err);
}
