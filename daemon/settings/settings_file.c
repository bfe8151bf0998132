#include "daemon/settings/settings_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yaml.h>

#include "common/mem.h"

struct reader {
	const char *file;
	yaml_parser_t parser;
	yaml_event_t event;
	struct err *err;
};

/* Prefixes the error with FILE:LINE:COLUMN; libyaml counts from 0. */
static int at_mark(struct reader *reader, const yaml_mark_t *mark)
{
	return err_prefix(reader->err, "%s:%zu:%zu", reader->file, mark->line + 1, mark->column + 1);
}

static int fail(struct reader *reader, const char *what)
{
	err_set(reader->err, ERR_SPEC, "%s", what);
	return at_mark(reader, &reader->event.start_mark);
}

static int next_event(struct reader *reader)
{
	yaml_event_delete(&reader->event);
	if (yaml_parser_parse(&reader->parser, &reader->event))
		return 0;
	err_set(reader->err, ERR_SPEC, "%s", reader->parser.problem ? reader->parser.problem : "not YAML");
	return at_mark(reader, &reader->parser.problem_mark);
}

/*
 * The text of the current event; NULL if that is no scalar, or holds a NUL byte.
 */
static const char *scalar(const struct reader *reader)
{
	const char *value = (const char *)reader->event.data.scalar.value;

	if (reader->event.type != YAML_SCALAR_EVENT || strlen(value) != reader->event.data.scalar.length)
		return NULL;
	return value;
}

static int read_pair(struct reader *reader,
		     int (*set)(void *arg, const char *key, const char *value, struct err *err), void *arg)
{
	yaml_mark_t mark = reader->event.start_mark;
	char *key;
	int rc;

	if (!scalar(reader))
		return fail(reader, "a key must be a plain word");
	key = xstrdup(scalar(reader));
	rc = next_event(reader);
	if (rc == 0 && !scalar(reader)) {
		err_set(reader->err, ERR_SPEC, "%s: must be a single value, not a list or a map", key);
		rc = at_mark(reader, &reader->event.start_mark);
	} else if (rc == 0 && set(arg, key, scalar(reader), reader->err) < 0) {
		err_prefix(reader->err, "%s", key);
		rc = at_mark(reader, &mark);
	}
	free(key);
	return rc;
}

/*
 * The events: stream, document and map begin, pairs follow, all three end. An empty file has no
 * document.
 */
static int read_document(struct reader *reader,
			 int (*set)(void *arg, const char *key, const char *value, struct err *err),
			 void *arg)
{
	if (next_event(reader) < 0 || next_event(reader) < 0)
		return -1;
	if (reader->event.type == YAML_STREAM_END_EVENT)
		return 0;
	if (next_event(reader) < 0)
		return -1;
	/* A lone "---", also with comments, is an empty scalar. */
	if (scalar(reader) && !*scalar(reader))
		return 0;
	if (reader->event.type != YAML_MAPPING_START_EVENT)
		return fail(reader, "must be a map of settings, like \"resync: 30s\"");
	for (;;) {
		if (next_event(reader) < 0)
			return -1;
		if (reader->event.type == YAML_MAPPING_END_EVENT)
			break;
		if (read_pair(reader, set, arg) < 0)
			return -1;
	}
	if (next_event(reader) < 0 || next_event(reader) < 0)
		return -1;
	return reader->event.type == YAML_STREAM_END_EVENT ? 0
							   : fail(reader, "a second document is not allowed");
}

/* Opens regular files only: to read another kind could block. Returns NULL with errno set. */
static FILE *open_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;

	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		return fdopen(fd, "r");
	close(fd);
	errno = S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
	return NULL;
}

int settings_file_read(const char *file, bool must_exist,
		       int (*set)(void *arg, const char *key, const char *value, struct err *err), void *arg,
		       struct err *err)
{
	struct reader reader = {.file = file, .err = err};
	FILE *in = open_file(file);
	int rc;

	if (!in && errno == ENOENT && !must_exist)
		return 1;
	if (!in)
		return err_set(err, ERR_SPEC, "settings file %s: %s", file,
			       errno == EINVAL ? "is not a regular file" : strerror(errno));
	if (!yaml_parser_initialize(&reader.parser))
		abort();
	yaml_parser_set_input_file(&reader.parser, in);
	rc = read_document(&reader, set, arg);
	yaml_event_delete(&reader.event);
	yaml_parser_delete(&reader.parser);
	fclose(in);
	return rc;
}
