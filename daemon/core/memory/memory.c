#include "daemon/core/memory/memory.h"

#include <stdlib.h>
#include <string.h>

#include "common/mem.h"
#include "common/text.h"

/* companions_seen starts over when it gets longer than this. */
#define MAX_COMPANIONS_SEEN 1024

void memory_init(struct memory *memory)
{
	*memory = (struct memory){.config_size = -1};
}

void memory_copy(struct memory *to, const struct memory *from)
{
	*to = *from;
	to->config_path = xstrdup(from->config_path);
	to->config_mtime = xstrdup(from->config_mtime);
	to->companions_seen = xstrdup(from->companions_seen);
	to->known_id = xstrdup(from->known_id);
	to->accepted = xstrdup(from->accepted);
	refused_copy(&to->refused, &from->refused);
	silence_copy(&to->silence, &from->silence);
	replaced_copy(&to->replaced, &from->replaced);
	draining_copy(&to->draining, &from->draining);
}

void memory_clear(struct memory *memory)
{
	free(memory->config_path);
	free(memory->config_mtime);
	free(memory->companions_seen);
	free(memory->known_id);
	free(memory->accepted);
	refused_clear(&memory->refused);
	silence_clear(&memory->silence);
	replaced_clear(&memory->replaced);
	draining_clear(&memory->draining);
	memory_init(memory);
}

void memory_lend(struct memory *to, const struct memory *from, const char *version, int64_t now_ms)
{
	memory_copy(to, from);
	refused_lend(&to->refused, version, now_ms);
}

void memory_take(struct memory *memory, struct memory *learned, const char *version, const struct err *err,
		 int64_t now_ms)
{
	struct refused refused = memory->refused;

	refused_take(&refused, &learned->refused, version, err, now_ms);
	memory->refused = (struct refused){0};
	memory_clear(memory);
	*memory = *learned;
	memory->refused = refused;
	memory_init(learned);
}

static bool same_json(const struct memory *a, const struct memory *b)
{
	char *of_a = memory_to_json(a), *of_b = memory_to_json(b);
	bool is = text_equal(of_a, of_b);

	free(of_a);
	free(of_b);
	return is;
}

bool memory_is_recorded(const struct memory *memory, const struct memory *recorded)
{
	return text_equal(memory->config_path, recorded->config_path) &&
	       memory->config_size == recorded->config_size &&
	       text_equal(memory->config_mtime, recorded->config_mtime) &&
	       strcmp(memory->config_sha256, recorded->config_sha256) == 0 &&
	       text_equal(memory->accepted, recorded->accepted) && same_json(memory, recorded);
}

void memory_turn_to_config(struct memory *memory, const char *path)
{
	if (text_equal(memory->config_path, path))
		return;
	free(memory->config_path);
	memory->config_path = xstrdup(path);
	FREE(memory->config_mtime);
	memory->config_size = -1;
	memory->config_sha256[0] = '\0';
}

void memory_read_config(struct memory *memory, const char *sha256, int64_t size, const char *mtime)
{
	memcpy(memory->config_sha256, sha256, sizeof(memory->config_sha256));
	memory->config_size = size;
	free(memory->config_mtime);
	memory->config_mtime = xstrdup(mtime);
}

void memory_doubt_config(struct memory *memory)
{
	memory->config_size = -1;
}

bool memory_has_config(const struct memory *memory, int64_t size, const char *mtime)
{
	return mtime && memory->config_sha256[0] && memory->config_size == size &&
	       text_equal(memory->config_mtime, mtime);
}

static char *line_of(const char *name, const char *mtime)
{
	return xasprintf("%s %s\n", name, mtime);
}

bool memory_has_companion(const struct memory *memory, const char *name, const char *mtime)
{
	char *line = mtime ? line_of(name, mtime) : NULL;
	bool has = line && memory->companions_seen && strstr(memory->companions_seen, line);

	free(line);
	return has;
}

void memory_saw_companion(struct memory *memory, const char *name, const char *mtime)
{
	char *before = memory->companions_seen, *line;

	if (!mtime || memory_has_companion(memory, name, mtime))
		return;
	line = line_of(name, mtime);
	memory->companions_seen =
		xasprintf("%s%s", before && strlen(before) < MAX_COMPANIONS_SEEN ? before : "", line);
	free(before);
	free(line);
}

void memory_know(struct memory *memory, const char *container_id)
{
	if (text_equal(memory->known_id, container_id))
		return;
	free(memory->known_id);
	memory->known_id = xstrdup(container_id);
}

bool memory_knows(const struct memory *memory, const char *container_id)
{
	return text_equal(memory->known_id, container_id) || replaced_is(&memory->replaced, container_id);
}
