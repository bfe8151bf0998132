#include "daemon/core/host_file.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/mem.h"
#include "common/names.h"

#define WRITTEN_BY "# Written by apilbd"
#define OWNED_BY WRITTEN_BY " (owner "

/* Go's io/fs.FileMode: the highest bits tell the kind, the lowest nine the permissions. */
static const struct {
	uint32_t bit;
	enum host_file_kind kind;
} kinds[] = {
	{1u << 31, HOST_FILE_DIRECTORY}, {1u << 27, HOST_FILE_LINK},    {1u << 26, HOST_FILE_SPECIAL},
	{1u << 25, HOST_FILE_SPECIAL},   {1u << 24, HOST_FILE_SPECIAL}, {1u << 21, HOST_FILE_SPECIAL},
	{1u << 19, HOST_FILE_SPECIAL},
};

static enum host_file_kind kind_of(int64_t mode)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (mode & kinds[i].bit)
			return kinds[i].kind;
	return HOST_FILE_REGULAR;
}

void host_file_stat(struct host_file *file, const char *path_stat)
{
	static const struct json_limits limits = {.bytes = 64u << 10, .values = 100};
	struct err none;
	struct json_object *stat =
		path_stat ? json_parse(path_stat, strlen(path_stat), &limits, &none) : NULL;
	int64_t mode = json_number_in(stat, "mode", 0, UINT32_MAX, -1);

	host_file_clear(file);
	*file = (struct host_file){.kind = HOST_FILE_REGULAR, .mode = -1};
	if (mode >= 0) {
		file->kind = kind_of(mode);
		file->mode = (int)(mode & 0777);
	}
	file->size = json_number_in(stat, "size", 0, INT64_MAX, -1);
	file->mtime = xstrdup(json_text(stat, "mtime", NULL));
	json_object_put(stat);
}

bool host_file_is_readable(const struct host_file *file)
{
	return file->kind == HOST_FILE_REGULAR && file->size <= (int64_t)HOST_FILE_MAX_BYTES;
}

void host_file_clear(struct host_file *file)
{
	free(file->mtime);
	free(file->text);
	*file = (struct host_file){0};
}

/* The beginning of our first line, the same in all versions of apilbd. The caller frees. */
static char *mark_of(const char *owner)
{
	if (strcmp(owner, APILB_DEFAULT_OWNER) == 0)
		return xstrdup(WRITTEN_BY ".");
	return xasprintf(OWNED_BY "%s).", owner);
}

char *host_file_head(const char *owner)
{
	char *mark = mark_of(owner);
	char *head = xasprintf("%s Changes made here do not stay: change the spec.\n", mark);

	free(mark);
	return head;
}

static bool begins_alike(const char *a, size_t a_len, const char *b)
{
	size_t b_len = strlen(b);

	return memcmp(a, b, a_len < b_len ? a_len : b_len) == 0;
}

static char *text_objection(const struct host_file *file, const char *owner)
{
	char *mark = mark_of(owner);
	bool ours = begins_alike(file->text, file->len, mark);
	const char *other = file->text + strlen(OWNED_BY);

	free(mark);
	if (ours)
		return NULL;
	if (file->len > strlen(OWNED_BY) && begins_alike(file->text, file->len, OWNED_BY))
		return xasprintf("belongs to the apilbd whose owner is \"%.*s\"", (int)strcspn(other, ")\n"),
				 other);
	if (file->len > strlen(WRITTEN_BY) && begins_alike(file->text, file->len, WRITTEN_BY "."))
		return xstrdup("belongs to the apilbd whose owner is \"" APILB_DEFAULT_OWNER "\"");
	return xasprintf("is not ours (a file of %zu bytes that does not begin with \"" WRITTEN_BY ".\")",
			 file->len);
}

static char *regular_objection(const struct host_file *file, const char *owner)
{
	if (file->size == 0)
		return NULL;
	if (file->text)
		return text_objection(file, owner);
	if (!host_file_is_readable(file))
		return xasprintf("is not ours (a file of %lld bytes)", (long long)file->size);
	return xstrdup("may not be ours (its text was not read)");
}

char *host_file_objection(const struct host_file *file, const char *owner, bool said_ours)
{
	switch (file->kind) {
	case HOST_FILE_DIRECTORY:
		return xstrdup("is a directory");
	case HOST_FILE_EMPTY_DIRECTORY:
		return said_ours ? NULL : xstrdup("is a directory");
	case HOST_FILE_LINK:
		return said_ours ? NULL : xstrdup("is a symbolic link");
	case HOST_FILE_SPECIAL:
		return said_ours ? NULL : xstrdup("is not a regular file");
	case HOST_FILE_REGULAR:
		return said_ours ? NULL : regular_objection(file, owner);
	default:
		return NULL;
	}
}
